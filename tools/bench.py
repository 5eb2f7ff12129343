"""Time metrics, scores and feature extraction against the libraries that people use for them.

Usage: bench.py [--only NAME ...] [--rounds N] [--write FILE]

Every pair runs in turn, each run in a process of its own, and the medians of N rounds are compared:
both sides meet the same machine. Prints a Markdown table; --write puts it into a page between its
marks. Run it on a machine with nothing else to do.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

DIMENSIONS = 2048
PICTURES = 96
NEIGHBORS = 5
MAHALANOBIS_BATCHES = 4
"""Batches of ciagen's that are timed."""


def features(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Return features like Inception's: correlated, of very different variances, not negative."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(DIMENSIONS, DIMENSIONS)) / DIMENSIONS**0.5
    scales = np.exp(-np.arange(DIMENSIONS) / 300)
    return np.abs((rng.normal(size=(n, DIMENSIONS)) * scales) @ mixing + shift).astype(np.float32)


def pair(n: int) -> tuple[np.ndarray, np.ndarray]:
    return features(n, 0), features(n, 1, 0.05)


def frechet_ours(n: int) -> Callable:
    from cia.metrics.frechet import frechet_distance

    real, synthetic = pair(n)
    return lambda: frechet_distance(real, synthetic)


def frechet_theirs(n: int) -> Callable:
    """clean-fid's, with means and covariances as its own `fid_from_feats` takes them."""
    from cleanfid.fid import fid_from_feats

    real, synthetic = (each.astype(np.float64) for each in pair(n))
    return lambda: fid_from_feats(real, synthetic)


def mahalanobis_ours(n: int) -> Callable:
    from cia.scores.mahalanobis import mahalanobis

    real, synthetic = pair(n)
    return lambda: mahalanobis(real, synthetic)


def import_ciagen() -> ModuleType:
    """Import ciagen's distance alone: its package wants more than we install."""
    package = ModuleType("ciagen")
    package.__path__ = [str(Path(importlib.util.find_spec("ciagen").origin).parent)]
    sys.modules["ciagen"] = package
    return importlib.import_module("ciagen.metrics.distances.mahalanobis")


def mahalanobis_theirs(n: int) -> Callable:
    """ciagen's own function, called as its `MLD.score` does, in batches of 32.

    Its pseudo-inverse is taken anew in every batch. A few batches are timed, and the time of
    the rest is extrapolated: see `EXTRAPOLATED`.
    """
    import torch

    mahalanobis_distance_calc = import_ciagen().mahalanobis_distance_calc
    real, synthetic = map(torch.from_numpy, pair(n))
    batches = synthetic.split(32)[:MAHALANOBIS_BATCHES]

    def run():
        mean, covariance = real.mean(dim=0), torch.cov(real.T)
        for batch in batches:
            mahalanobis_distance_calc(
                batch, mean, covariance, to_type="torch", distance_squared=True
            )

    return run


def mahalanobis_theirs_at_once(n: int) -> Callable:
    """The same function, called once with every image: as fast as it can be."""
    import torch

    mahalanobis_distance_calc = import_ciagen().mahalanobis_distance_calc
    real, synthetic = map(torch.from_numpy, pair(n))
    return lambda: mahalanobis_distance_calc(
        synthetic, real.mean(dim=0), torch.cov(real.T), to_type="torch", distance_squared=True
    )


def mahalanobis_theirs_in_float64(n: int) -> Callable:
    """scikit-learn's, which gives squares."""
    from sklearn.covariance import LedoitWolf

    real, synthetic = (each.astype(np.float64) for each in pair(n))
    return lambda: np.sqrt(LedoitWolf().fit(real).mahalanobis(synthetic))


def radii_ours(n: int) -> Callable:
    from cia.neighbors import neighbor_radii

    real, _ = pair(n)
    return lambda: neighbor_radii(real, NEIGHBORS)


def radii_theirs(n: int) -> Callable:
    """scikit-learn's, of centered features in float64: as exact as ours."""
    real, _ = pair(n)
    return lambda: search_theirs(real, None)[:, -1]


def search_theirs(points: np.ndarray, queries: np.ndarray | None) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    mean = points.mean(axis=0, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=NEIGHBORS, algorithm="brute").fit(points - mean)
    return search.kneighbors(None if queries is None else queries - mean)[0]


def nearest_ours(n: int) -> Callable:
    from cia.neighbors import nearest_points

    real, synthetic = pair(n)
    return lambda: nearest_points(synthetic, real, NEIGHBORS)[0]


def nearest_theirs(n: int) -> Callable:
    """scikit-learn's, in the same way."""
    real, synthetic = pair(n)
    return lambda: search_theirs(real, synthetic)


def manifolds_ours(n: int) -> Callable:
    from cia.metrics.manifolds import compare_manifolds

    real, synthetic = pair(n)
    return lambda: [float(terms.mean()) for terms in compare_manifolds(real, synthetic)]


def manifolds_theirs(n: int) -> Callable:
    from prdc import compute_prdc

    real, synthetic = pair(n)
    return lambda: list(compute_prdc(real, synthetic, 5).values())


def everything_ours(n: int) -> Callable:
    from cia.metrics.comparing import distribution_metrics

    real, synthetic = pair(n)
    ids = [str(number) for number in range(n)]
    chances = np.random.default_rng(0).dirichlet(np.full(1008, 0.1), n).astype(np.float32)
    return lambda: distribution_metrics(
        real, synthetic, "inception", 0, ids, ids, chances, chances
    )["fid"]["value"]


def inception_file(folder: Path) -> Path:
    """Save a network with the layers and interface of clean-fid's, random weights, if need be.

    Time does not depend on weights, and clean-fid's own file is a download.
    """
    import torch
    import torchvision

    path = folder / "inception-2015-12-05.pt"
    if path.exists():
        return path

    class Layers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            net = torchvision.models.inception_v3(
                weights=None, init_weights=False, aux_logits=False, transform_input=False
            )
            net.fc, net.dropout = torch.nn.Identity(), torch.nn.Identity()
            example = torch.zeros(2, 3, 299, 299)
            self.net = torch.jit.trace(net.eval(), example, check_trace=False)

        def forward(self, x):
            return self.net(x)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = Layers()
            self.output = torch.nn.Linear(2048, 1008)

        def forward(self, x, return_features: bool = False):
            features = self.layers((x - 128) / 128)
            return features if return_features else self.output(features).softmax(dim=1)

    torch.manual_seed(0)
    torch.jit.script(Network().eval()).save(path)
    return path


def pictures(folder: Path) -> list[str]:
    """Save photographs of 512x512 as JPEG, all different."""
    from PIL import Image
    from skimage import data

    photographs = [Image.fromarray(each) for each in (data.astronaut(), data.coffee(), data.cat())]
    paths = []
    for number in range(PICTURES):
        path = folder / f"{number}.jpg"
        if not path.exists():
            picture = photographs[number % 3].rotate(number).resize((512, 512))
            picture.save(path, quality=92)
        paths.append(str(path))
    return paths


def features_ours(_: int) -> Callable:
    from cia.features.extraction import extract_features

    folder = bench_folder()
    paths, weights = pictures(folder), inception_file(folder)
    settings = {"model": "inception", "weights": str(weights)}
    return lambda: extract_features(paths, settings, batch_size=32, threads=2)[0]


def features_theirs(_: int) -> Callable:
    """clean-fid's, with two workers that decode and resize, in batches of 32."""
    import torch
    from cleanfid.fid import get_files_features
    from cleanfid.inception_torchscript import InceptionV3W

    folder = bench_folder()
    paths, weights = pictures(folder), inception_file(folder)
    device = torch.device("cpu")

    def run():
        model = InceptionV3W(str(weights.parent), download=False)
        return get_files_features(
            paths, model, num_workers=2, batch_size=32, device=device, mode="clean", verbose=False
        )

    return run


def bench_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / "cia-bench"
    folder.mkdir(exist_ok=True)
    return folder


BENCHES: dict[str, tuple[str, int, Callable, Callable | None, str, float]] = {
    "frechet_5000": (
        "Frechet distance, 5000 + 5000 images",
        5000,
        frechet_ours,
        frechet_theirs,
        "clean-fid",
        10,
    ),
    "frechet_1000": (
        "Frechet distance, 1000 + 1000 images",
        1000,
        frechet_ours,
        frechet_theirs,
        "clean-fid",
        30,
    ),
    "mahalanobis": (
        "Mahalanobis distance, 10 000 + 10 000 images",
        10_000,
        mahalanobis_ours,
        mahalanobis_theirs,
        "ciagen, batches of 32 as it calls it (extrapolated)",
        20,
    ),
    "mahalanobis_at_once": (
        "the same",
        10_000,
        mahalanobis_ours,
        mahalanobis_theirs_at_once,
        "ciagen, its function called once",
        1,
    ),
    "mahalanobis_sklearn": (
        "the same",
        10_000,
        mahalanobis_ours,
        mahalanobis_theirs_in_float64,
        "scikit-learn, LedoitWolf",
        10,
    ),
    "radii": (
        f"distance of each of 10 000 images to its {NEIGHBORS}th nearest other",
        10_000,
        radii_ours,
        radii_theirs,
        "scikit-learn, NearestNeighbors",
        1,
    ),
    "nearest": (
        f"{NEIGHBORS} nearest real images of each synthetic one, 10 000 + 10 000 images",
        10_000,
        nearest_ours,
        nearest_theirs,
        "scikit-learn, NearestNeighbors",
        1,
    ),
    "manifolds": (
        "precision, recall, density, coverage, 10 000 + 10 000 images",
        10_000,
        manifolds_ours,
        manifolds_theirs,
        "prdc",
        1,
    ),
    "features": (
        f"Inception features of {PICTURES} JPEGs of 512x512",
        PICTURES,
        features_ours,
        features_theirs,
        "clean-fid",
        1.3,
    ),
    "everything": (
        "every distribution metric with intervals and floors, 5000 + 5000 images",
        5000,
        everything_ours,
        None,
        "",
        0,
    ),
}
"""Name: what it is, n, ours, theirs, whose theirs is, and how many times faster ours is to be."""

EXTRAPOLATED = {"mahalanobis": lambda n: -(-n // 32) / MAHALANOBIS_BATCHES}
"""By how much the time of theirs is multiplied."""

SAME = {"frechet_5000", "frechet_1000", "mahalanobis_sklearn", "radii", "nearest", "manifolds"}
"""Pairs that compute the same numbers: these are compared, too."""

MARKS = ("<!-- bench -->", "<!-- end of bench -->")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--child", nargs=2, metavar=("NAME", "SIDE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child)))
        return
    lines = [
        "| what | ours | theirs | | times faster | to reach | peak memory, ours and theirs "
        "| largest relative difference |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for name in options.only:
        lines.append(row(name, options.rounds))
        print("\n".join(lines) if len(lines) == 3 else lines[-1], flush=True)
    if options.write:
        write(options.write, "\n".join(lines))


def measure(name: str, side: str) -> dict:
    """Time one side of a pair once, after its data are there; memory above what they take.

    With the numbers that it computed, where the other side computes the same.
    """
    _, n, *sides, _, _ = BENCHES[name]
    run = sides[side == "theirs"](n)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    before = status("VmRSS")
    start = time.perf_counter()
    found = run()
    seconds = time.perf_counter() - start
    megabytes = (status("VmHWM") - before) / 1024
    if side == "theirs":
        seconds *= EXTRAPOLATED.get(name, lambda n: 1)(n)
    values = np.ravel(found).tolist() if name in SAME else []
    return {"seconds": seconds, "megabytes": megabytes, "values": values}


def status(key: str) -> int:
    """Return one of this process's numbers in /proc, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def row(name: str, rounds: int) -> str:
    """Run both sides in turn, and return their line of the table."""
    words, _, _, theirs, whose, target = BENCHES[name]
    found: dict[str, list[dict]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        for side in found if theirs else ["ours"]:
            found[side].append(run_child(name, side))
    ours = middle(found["ours"])
    if not theirs:
        return f"| {words} | {ours['seconds']:.1f} s | | | | | {ours['megabytes']:.0f} MB | |"
    other = middle(found["theirs"])
    ratio = other["seconds"] / ours["seconds"]
    memory = f"{ours['megabytes']:.0f} MB, {other['megabytes']:.0f} MB"
    cells = [words, f"{ours['seconds']:.2f} s", f"{other['seconds']:.2f} s", whose]
    cells += [f"{ratio:.1f}", target, memory, difference(found)]
    return "".join(f"| {cell} " if cell else "| " for cell in map(str, cells)) + "|"


def middle(runs: list[dict]) -> dict:
    return {key: median(run[key] for run in runs) for key in ("seconds", "megabytes")}


def difference(found: dict[str, list[dict]]) -> str:
    """Return the largest relative difference of both sides' numbers; empty where they have none."""
    ours, theirs = (np.array(found[side][0]["values"]) for side in ("ours", "theirs"))
    return f"{np.max(np.abs(ours - theirs) / np.abs(theirs)):.0e}" if ours.size else ""


def run_child(name: str, side: str) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, side],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{name}, {side}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def write(path: Path, table: str) -> None:
    """Put the table between the page's marks."""
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(MARKS[0])
    _, tail = rest.split(MARKS[1])
    machine = f"{os.cpu_count()} cores, numpy {np.__version__}, Python {sys.version.split()[0]}"
    path.write_text(
        f"{head}{MARKS[0]}\n{table}\n\nMeasured on {machine}.\n{MARKS[1]}{tail}", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
