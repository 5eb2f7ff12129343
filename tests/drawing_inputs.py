"""What generation is given in tests: a generator's settings, and plans with condition maps."""

from pathlib import Path

import numpy as np
import pandas as pd

from cia.files import digest_file
from cia.images import save_png


def generator_settings(folder: Path, **changes) -> dict:
    """An entry of `generators` for a model with its ControlNet beside it: 2 steps with guidance."""
    return {
        "model": str(folder),
        "model_revision": None,
        "controlnet": str(folder),
        "controlnet_subfolder": "controlnet",
        "controlnet_revision": None,
        "scheduler": "UniPCMultistepScheduler",
        "steps": 2,
        "guidance_scale": 3.0,
        "conditioning_scale": 1.0,
        "control_guidance_start": 0.0,
        "control_guidance_end": 1.0,
        "dtype": "auto",
        **changes,
    }


def save_plan(folder: Path, count: int, side: int) -> pd.DataFrame:
    """Save so many condition maps of random dots, and return a plan with a row for each."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        edges = np.where(rng.random((side, side, 1)) > 0.8, 255, 0).astype(np.uint8)
        path = folder / f"map{index}.png"
        save_png(path, edges.repeat(3, axis=2))
        rows.append(
            {
                "id": f"i{index}_v000",
                "seed": index,
                "prompt": f"a red {index}",
                "negative_prompt": "",
                "width": side,
                "height": side,
                "condition": path.as_posix(),
                "condition_sha256": digest_file(path),
            }
        )
    return pd.DataFrame(rows)
