"""Text agreement: does the image show what the prompt says, as a text-image model sees it?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from cia.errors import UserError
from cia.images import load_image
from cia.judging.cases import Case
from cia.progress import Progress


def judge(case: Case, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the CLIP score: 100 times the cosine of image and prompt, not below 0.

    Hessel et al., "CLIPScore" (2021), with the factor of torchmetrics. The model is any of
    transformers' CLIP kin with `get_image_features` and `get_text_features` (CLIP, SigLIP), by hub
    id or folder. A prompt longer than the model reads is cut.
    """
    model, processor = _load(settings["model"], settings["revision"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.eval().to(device)
    progress = Progress(len(case.images), "images judged")
    scores = []
    with torch.inference_mode():
        for start in range(0, len(case.images), case.batch_size):
            rows = case.images.iloc[start : start + case.batch_size]
            inputs = processor(
                text=rows["prompt"].tolist(),
                images=[Image.fromarray(load_image(path)) for path in rows["image"]],
                return_tensors="pt",
                padding="max_length",
                truncation=True,
            ).to(device)
            outputs = model(**inputs)
            cosine = torch.nn.functional.cosine_similarity(
                outputs.image_embeds, outputs.text_embeds
            )
            scores.append(100 * cosine.clamp(min=0).double().cpu().numpy())
            progress.add(len(rows))
    return {"text_agreement": np.concatenate(scores)}


def _load(name: str, revision: str | None) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoProcessor

    try:
        return (
            AutoModel.from_pretrained(name, revision=revision, use_safetensors=True),
            AutoProcessor.from_pretrained(name, revision=revision),
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"the text-image model {name!r} can't be loaded: {error}. Without network, "
            "download it first and set `model` to the local folder."
        ) from error
