"""Write a diffusion model and its canny ControlNet at true size and layout, with random weights.

Usage: random_model.py FAMILY FOLDER [--small] [--seed N]

Speed and memory do not depend on the values of weights, so such a model is measured in place of
one that is a download. Its images are noise, which depends on prompt, seed and map. The ControlNet
is in FOLDER/controlnet. --small writes the same classes in miniature, for tests.

The configurations are those of the published models (tools/families/{family}.json says of which,
with their published numbers of parameters, or sizes of their files in half precision). The
tokenizers have the published numbers of tokens and lengths; their vocabularies are made up.

Parts are made and written one after the other, in half precision from the start: the largest one
has to fit into memory (sd15: 2 GB, sdxl: 6 GB, sd35-medium: 10 GB, flux: 24 GB).
"""

import argparse
import itertools
import json
import os
import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent / "families"
FAMILIES = ("sd15", "sdxl", "sd35-medium", "flux")

_PUBLISHED_AS = {"T5Tokenizer": "T5TokenizerFast"}
"""Classes that the published index calls otherwise; both names load the same."""


def save_random_model(
    family: str, folder: Path, small: bool = False, seed: int = 0, wider: int = 1
) -> Path:
    """Save a model with random weights as diffusers does, its ControlNet in `controlnet/`.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    folder : Path
        Where to save; made if need be.
    small : bool
        The same classes in miniature.
    seed : int
        Of the weights.
    wider : int
        For sd15 in miniature: times as many channels. With 4 it is as large as the model of the
        demo.

    Returns
    -------
    Path
        The folder.
    """
    facts = read_family(family)
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, part) in enumerate(facts["parts"].items()):
        changes = _widen(part.get("small", {}), wider) if small else {}
        made = _make(name, part, changes, facts["dtype"], seed * len(facts["parts"]) + number)
        made.save_pretrained(folder / name)
    index = {
        name: [_library(part["class"]), _PUBLISHED_AS.get(part["class"], part["class"])]
        for name, part in facts["parts"].items()
        if name != "controlnet"
    }
    index = {"_class_name": facts["pipeline"], **facts["pipeline_config"], **index}
    # the index comes last: a folder that has one is whole
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return folder


def read_family(family: str) -> dict:
    """Return what the family's file says: pipeline, dtype, side in pixels, and parts.

    Each part has its class, the repository on the hub that its configuration is of (`source`), the
    configuration, what differs in miniature (`small`), and for networks their `published` number of
    parameters in millions or size in GB in half precision.
    """
    return json.loads((FOLDER / f"{family}.json").read_text(encoding="utf-8"))


def count_values(part: dict) -> int:
    """Return how many numbers the file of a part at true size holds; nothing is allocated."""
    import torch

    with torch.device("meta"):
        network = _build(part["class"], part["config"])
    kept = network.state_dict().keys()
    buffers = (value for name, value in network.named_buffers() if name in kept)
    return sum(value.numel() for value in itertools.chain(network.parameters(), buffers))


def make_tokenizer(part: dict, tokens: int) -> Any:
    """Make a tokenizer of so many tokens, with a made-up vocabulary that takes any text.

    Parameters
    ----------
    part : dict
        Of a family: class, config.
    """
    import transformers

    vocabularies = {"CLIPTokenizer": _clip_vocabulary, "T5Tokenizer": _t5_vocabulary}
    vocabulary = vocabularies[part["class"]](tokens)
    return getattr(transformers, part["class"])(**vocabulary, **part["config"])


def _make(name: str, part: dict, changes: dict, dtype: str, seed: int) -> Any:
    kind, config = part["class"], {**part["config"], **changes}
    if kind.endswith("Tokenizer"):
        return make_tokenizer(part, changes.get("tokens", part["tokens"]))
    if kind.endswith("Scheduler"):
        return _build(kind, config)
    import torch

    with _default_dtype(getattr(torch, dtype)):
        torch.manual_seed(seed)
        network = _build(kind, config).eval()
        if name == "controlnet":
            _let_maps_through(network)
    return network


_CHANNELS = {
    "block_out_channels",
    "cross_attention_dim",
    "hidden_size",
    "intermediate_size",
    "projection_dim",
}


def _widen(config: dict, times: int) -> dict:
    return {
        key: (np.multiply(value, times).tolist() if key in _CHANNELS else value)
        for key, value in config.items()
    }


def _library(kind: str) -> str:
    import diffusers

    return "diffusers" if hasattr(diffusers, kind) else "transformers"


def _build(kind: str, config: dict) -> Any:
    """Make an object of diffusers or transformers from its configuration."""
    import diffusers
    import transformers

    if hasattr(diffusers, kind):
        return getattr(diffusers, kind).from_config(config)
    made = getattr(transformers, kind)
    return made(made.config_class(**config))


@contextmanager
def _default_dtype(dtype: Any) -> Iterator[None]:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _let_maps_through(controlnet: Any) -> None:
    """Give the ControlNet's layers that start as zeros, and those before them, weights that count.

    Normal with He's variance, 2 / inputs of one output: the layers that encode a map would weaken
    it to nothing, and those that start as zeros would let nothing through.
    """
    import torch

    with torch.no_grad():
        for name, weight in controlnet.named_parameters():
            encodes = name.startswith("controlnet_cond_embedding.")
            if weight.dim() > 1 and (encodes or not weight.any()):
                weight.normal_(std=(2 / weight[0].numel()) ** 0.5)


def _clip_vocabulary(tokens: int) -> dict:
    """Return every byte, within a word and at its end, and merges of two until there are enough.

    In the order of CLIP's own: "!" is the first, start and end of a text are the last two.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    ends = "</w>"
    letters = sorted(ByteLevel.alphabet())
    last = [letter + ends for letter in letters]
    common = string.ascii_lowercase + string.digits
    order = [*common, *(letter for letter in letters if letter not in common)]
    pairs = [(a, b + end) for a in order for b in order for end in (ends, "")]
    merges = pairs[: tokens - len(letters) - len(last) - 2]
    merged = [a + b for a, b in merges]
    words = [*letters, *last, *merged, "<|startoftext|>", "<|endoftext|>"]
    return {"vocab": {word: index for index, word in enumerate(words)}, "merges": merges}


def _t5_vocabulary(tokens: int) -> dict:
    """Return printable ASCII and words of up to four letters; other characters are unknown."""
    sentinels = [f"<extra_id_{number}>" for number in reversed(range(100))]
    known = ["<pad>", "</s>", "<unk>"]
    printable = [letter for letter in string.printable if not letter.isspace()]
    lengths = (itertools.product(string.ascii_lowercase, repeat=count) for count in (1, 2, 3))
    words = ["▁" + "".join(word) for word in itertools.chain(*lengths)]
    longer = ["".join(word) for word in itertools.product(string.ascii_lowercase, repeat=3)]
    pieces = ["▁", *printable, *words, *longer][: tokens - len(known) - len(sentinels)]
    scores = [(piece, -10.0 / len(piece)) for piece in pieces]
    named = [(piece, 0.0) for piece in known]
    return {"vocab": [*named, *scores, *((piece, 0.0) for piece in sentinels)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.folder.exists() and os.listdir(options.folder):
        sys.exit(f"{options.folder} is not empty: name another folder, or remove it")
    save_random_model(options.family, options.folder, options.small, options.seed)
    size = sum(path.stat().st_size for path in options.folder.rglob("*") if path.is_file())
    print(f"{options.family}{' in miniature' if options.small else ''}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
