"""Measure how time and memory of the stages without a network grow with the number of pictures.

Usage: bench_scaling.py [--sizes N ...] [--only STAGE ...] [--folder DIR] [--write FILE]

Makes a dataset of N real pictures for each size, in a temporary folder that is removed afterwards.
Its names are all different, its files are hard links to a few small PNGs and texts. What networks
would make in between (condition maps, synthetic images, scores) is made up: tables, and hard links
again. Rule import reads as many pictures from a COCO file with 8 boxes for each. Each stage then
runs its own script in a process of its own. Prints a Markdown table; --write puts it into a page
between its marks, where cells that were not measured this time stay.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

SIZES = (1_000, 10_000, 100_000, 1_000_000)
THREADS = 2
PER_SHARD = 500
"""Images per shard of generation: the jobs that `snakemake -n` plans grow with the shards."""

FILES = 64
"""Different files behind the hard links; a file of ext4 takes 65 000 links."""

CLASSES = ["cat", "dog", "horse"]
BOXES = 8
"""Boxes of each picture in the COCO file that rule import reads."""
LINKED = ("Snakefile", "rules", "scripts", "envs", "profiles", "resources")
REAL, GENERATED = Path("data/real/big"), Path("data/generated/big/tiny_canny")
RESULTS, SET = Path("results/big/tiny_canny"), Path("results/generated/big/tiny_canny")

Inputs = dict[str, str | list[str]]


class Cost(NamedTuple):
    """What a command took: seconds by the clock, seconds of computing, MB of memory at most."""

    seconds: float
    computing: float
    megabytes: float


def config(n: int) -> dict:
    """The demo's configuration, on one dataset for detection and in shards of a useful size."""
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    settings["shards"] = -(-n // PER_SHARD)
    settings["datasets"] = {"big": {"task": "detection", "classes": CLASSES}}
    slots = {"color": ["red", "blue", "green", "black"], "place": ["town", "village", "street"]}
    settings["prompts"]["recolored"] |= {"slots": slots, "protect": CLASSES}
    settings["generators"]["tiny_canny"]["variants"] = 1
    first = settings["experiments"][0]
    settings["experiments"] = [first | {"dataset": "big", "judges": ["fidelity"]}]
    settings["judges"] = {"fidelity": settings["judges"]["fidelity"]}
    return settings


def settings_of(table: str, name: str) -> dict:
    """Return an entry of the configuration with its defaults, as a rule's params have it."""
    from cia.config.checks import checked

    return checked(config(1))[table][name]


def make_project(folder: Path, n: int) -> None:
    """Make a working folder with the workflow, a configuration and n real training pictures."""
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "config/schema", folder / "config/schema")
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config(n), sort_keys=False))
    for seed, (split, count) in enumerate({"train": n, "val": 100, "test": 100}.items()):
        make_split(folder, folder / REAL / split, count, seed)


def make_split(folder: Path, split: Path, count: int, seed: int) -> None:
    pictures = make_pictures(folder / "files" / split.name, seed)
    texts = make_texts(folder / "files" / split.name)
    link_all(pictures, split / "images", real_ids(count), ".png")
    for kind, files in texts.items():
        link_all(files, split / kind, real_ids(count), ".txt")


def make_pictures(folder: Path, seed: int) -> list[Path]:
    from cia.images import save_png

    rng = np.random.default_rng(seed)
    paths = [folder / f"{number}.png" for number in range(FILES)]
    for path in paths:
        save_png(path, rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    return paths


def make_texts(folder: Path) -> dict[str, list[Path]]:
    """Make captions and labels of two boxes."""
    contents = {
        "captions": "a red cat beside a horse number {0} in the blue morning light of a small town",
        "labels": "{1} 0.3 0.4 0.2 0.3\n{1} 0.7 0.5 0.2 0.{0}",
    }
    paths = {kind: [] for kind in contents}
    for kind, content in contents.items():
        for number in range(FILES):
            paths[kind].append(folder / f"{kind}{number}.txt")
            text = content.format(10 + number % 50, number % len(CLASSES))
            paths[kind][-1].write_text(text + "\n")
    return paths


def link_all(files: list[Path], folder: Path, names: Iterator[str], suffix: str) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        os.link(files[number % len(files)], f"{folder}/{name}{suffix}")


def real_ids(count: int) -> list[str]:
    return [f"picture_{number:08d}" for number in range(count)]


def make_coco(n: int) -> None:
    """Make up a flat folder of pictures and a COCO file, as programs for labels write it."""
    files = sorted(Path("files/train").glob("*.png"))
    link_all(files, Path("photos"), real_ids(n), ".png")
    numbers = np.random.default_rng(0).uniform(0, 6, (64, 4)).round(2) + (0, 0, 0.5, 0.5)
    boxes = numbers.tolist()
    with open("coco.json", "w") as file:
        file.write('{"images": [')
        for number, name in enumerate(real_ids(n)):
            entry = {"id": number, "file_name": f"{name}.png", "width": 12, "height": 12}
            file.write("," * bool(number) + json.dumps(entry))
        file.write('], "annotations": [')
        for number in range(n * BOXES):
            x, y, width, height = box = boxes[number * 7 % len(boxes)]
            ring = [x, y, x + width, y, x + width, y + height, x, y + height]
            entry = {"id": number, "image_id": number // BOXES, "category_id": number % 3 + 1}
            entry |= {"bbox": box, "area": width * height, "iscrowd": 0, "segmentation": [ring]}
            file.write("," * bool(number) + json.dumps(entry))
        categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def make_conditions() -> None:
    """Make up the manifest of the condition maps, which no stage here opens."""
    from cia.tables import read_table, write_table

    table = read_table("results/real/big/train/manifest.csv", "manifest")
    folder = "data/conditions/big/canny"
    images = [f"{folder}/images/{id_}.png" for id_ in table["id"]]
    maps = table.assign(image=images, width=64, height=64, found=1, picture_sha256=table["sha256"])
    write_table(f"{folder}/manifest.csv", maps, "conditions")


def make_shards() -> None:
    """Make up what generation leaves behind: images, and a table for each shard."""
    from cia.planning.plans import shard_of
    from cia.tables import read_table, write_table

    plan = read_table(RESULTS / "plan.csv", "plan")
    files = sorted(Path("files/train").glob("*.png"))
    link_all(files, GENERATED / "images", plan["id"], ".png")
    images = [f"{GENERATED}/images/{id_}.png" for id_ in plan["id"]]
    made = plan.assign(image=images, sha256=plan["condition_sha256"])
    count = config(len(plan))["shards"]
    for shard, rows in made.groupby(shard_of(plan["id"], count)):
        write_table(RESULTS / f"shards/{shard}.csv", rows, "shard")


def make_scores() -> None:
    from cia.tables import read_table, write_table

    table = read_table(SET / "manifest.csv", "manifest")
    rng = np.random.default_rng(0)
    scores = {name: rng.random(len(table)) for name in ("mahalanobis", "knn", "fidelity")}
    write_table(RESULTS / "scores/tiny.csv", table[["id", "image"]].assign(**scores))


def make_metrics() -> None:
    from cia.files import write_yaml

    write_yaml("metrics.yaml", {"metrics": {"frechet_distance": {"value": 1.0}}})
    write_yaml("models.yaml", {"model": {"name": "tiny"}})


def make_records(n: int) -> None:
    """Make up what is missing of the files of a finished run, and the records of who made them."""
    from cia.planning.plans import shard_of
    from cia.runtime.made import record

    pictures, texts = (sorted(Path("files/train").glob(kind)) for kind in ("*.png", "labels*.txt"))
    mix = Path("data/mixed/big/tiny_canny/best_half/plus_synthetic")
    folders = {
        Path("data/conditions/big/canny/images"): pictures,
        GENERATED / "images": pictures,
        GENERATED / "captions": texts,
        GENERATED / "labels": texts,
        mix / "images/train/real": pictures,
        mix / "labels/train/real": texts,
    }
    for folder, files in folders.items():
        if not folder.exists():
            link_all(files, folder, real_ids(n), files[0].suffix)
    for folder in (Path("data/conditions/big/canny/images"), mix):
        record(folder)
    for kind in ("captions", "labels"):
        record(GENERATED / kind)
    names = np.array(os.listdir(GENERATED / "images"))
    shards = shard_of([Path(name).stem for name in names], count := config(n)["shards"])
    for shard in range(count):
        record(GENERATED / "images", str(shard), names[shards == shard])


def import_dataset() -> tuple[Inputs, Inputs, dict]:
    folder = "data/real/coco"
    source = {"format": "coco", "path": "coco.json", "images": "photos"}
    return (
        {},
        {split: f"{folder}/{split}/imported.csv" for split in ("train", "val", "test")}
        | {"summary": "results/real/coco/imported.yaml"},
        {
            "source": source | {"classes": {name: [name] for name in CLASSES}},
            "task": "detection",
            "kpt_shape": None,
            "split": {"train": 0.7, "val": 0.15, "test": 0.15, "stratify": True, "group": ""},
            "seed": 0,
            "together": False,
        },
    )


def scan() -> tuple[Inputs, Inputs, dict]:
    return (
        {},
        {key: f"results/real/big/train/{key}.csv" for key in ("manifest", "rejected")},
        {"folder": str(REAL / "train")},
    )


def label() -> tuple[Inputs, Inputs, dict]:
    out = "results/real/big/train"
    return (
        {"manifest": f"{out}/manifest.csv"},
        {
            "labels": f"{out}/labels.csv",
            "rejected": f"{out}/rejected_labels.csv",
            "summary": f"{out}/labels.yaml",
        },
        {
            "folder": str(REAL / "train"),
            "task": "detection",
            "classes": CLASSES,
            "kpt_shape": None,
        },
    )


def plan() -> tuple[Inputs, Inputs, dict]:
    return (
        {
            "manifest": "results/real/big/train/manifest.csv",
            "conditions": "data/conditions/big/canny/manifest.csv",
        },
        {key: f"{RESULTS}/{key}.csv" for key in ("plan", "sources")},
        {
            "prompts": settings_of("prompts", "recolored"),
            "classes": None,
            "variants": 1,
            "seed": 0,
        },
    )


def gather() -> tuple[Inputs, Inputs, dict]:
    return (
        {"plan": f"{RESULTS}/plan.csv", "shards": sorted(map(str, RESULTS.glob("shards/*.csv")))},
        {"manifest": f"{SET}/manifest.csv"},
        {"folder": str(GENERATED)},
    )


def label_generated() -> tuple[Inputs, Inputs, dict]:
    return (
        {
            "real": "results/real/big/train/labels.csv",
            "manifest": f"{SET}/manifest.csv",
            "plan": f"{RESULTS}/plan.csv",
        },
        {"labels": f"{SET}/labels.csv", "rejected": f"{SET}/rejected_labels.csv"},
        {"folder": str(GENERATED)},
    )


def filter() -> tuple[Inputs, Inputs, dict]:
    return (
        {"manifest": f"{SET}/manifest.csv", "scores_tiny": f"{RESULTS}/scores/tiny.csv"},
        {"selected": f"{RESULTS}/selected/best_half.csv"},
        {
            "settings": settings_of("selections", "best_half"),
            "features": ["tiny"],
            "seed": 0,
        },
    )


def metadata() -> tuple[Inputs, Inputs, dict]:
    return (
        {
            "plan": f"{RESULTS}/plan.csv",
            "models": "models.yaml",
            "metrics": ["metrics.yaml"],
            "scores": [f"{RESULTS}/scores/tiny.csv"],
            "selected": [f"{RESULTS}/selected/best_half.csv"],
        },
        {"metadata": str(GENERATED / "metadata.yaml")},
        {
            "generation": settings_of("generators", "tiny_canny"),
            "features": ["tiny"],
            "selections": {"best_half": settings_of("selections", "best_half")},
        },
    )


def mix() -> tuple[Inputs, Inputs, dict]:
    """As many pictures as there are real ones: half of them make room for synthetic ones."""
    real = {
        f"{split}_{kind}": f"results/real/big/{split}/{kind}.csv"
        for split in ("train", "val", "test")
        for kind in ("manifest", "labels")
    }
    folder = "data/mixed/big/tiny_canny/best_half/plus_synthetic"
    return (
        real
        | {
            "synthetic_manifest": f"{SET}/manifest.csv",
            "synthetic_labels": f"{SET}/labels.csv",
            "sources": f"{RESULTS}/sources.csv",
            "selected": f"{RESULTS}/selected/best_half.csv",
        },
        {"dataset": f"{folder}/dataset.csv", "summary": f"{folder}/mix.yaml"},
        {
            "task": "detection",
            "classes": CLASSES,
            "settings": settings_of("mixes", "plus_synthetic") | {"keep_training_size": True},
            "seed": 0,
        },
    )


WILDCARDS = {
    "dataset": "big",
    "split": "train",
    "generator": "tiny_canny",
    "selection": "best_half",
    "mix": "plus_synthetic",
}
RESOURCES = {"max_rejected": "0.1", "prompts": "prompts.recolored"}
"""What scripts read of these, for their messages."""

STAGES: dict[str, Callable] = {
    "import_dataset": import_dataset,
    "scan": scan,
    "label": label,
    "plan": plan,
    "gather": gather,
    "label_generated": label_generated,
    "filter": filter,
    "metadata": metadata,
    "mix": mix,
}
"""Stages with a script of their own, in the order data flows."""

BEFORE = {
    "plan": make_conditions,
    "gather": make_shards,
    "filter": make_scores,
    "metadata": make_metrics,
}
"""What is made up before a stage, and not measured."""

COMMANDS = {
    "snakemake -n": ["--dry-run", "--quiet", "rules"],
    "snakemake --dag": ["--dag"],
}

ALL_MADE = "dry run, all made"
"""The first of them once more, which looks at the files of a finished run, too."""


class Job(SimpleNamespace):
    """What a script is handed for a job's inputs, outputs or params: by name, as by key."""

    def __getitem__(self, key: str):
        return getattr(self, key)

    def keys(self):
        return vars(self).keys()

    def items(self):
        return vars(self).items()

    def get(self, key: str, default=None):
        return vars(self).get(key, default)


def run_stage(name: str) -> None:
    """Run a stage's script in this process and the current folder."""
    from cia.runtime.jobs import run

    inputs, outputs, params = STAGES[name]()
    job = SimpleNamespace(
        rule=name,
        wildcards=Job(**WILDCARDS),
        input=Job(**inputs),
        output=Job(**outputs),
        params=Job(**params),
        resources=Job(**RESOURCES),
        threads=THREADS,
        log=[f"logs/{name}.log"],
    )
    sys.argv[0] = str(ROOT / "scripts" / f"{name}.py")
    run(__import__(name).main, job)


def small_splits() -> None:
    """Scan and label the validation and test pictures, which stay few."""
    for split in ("val", "test"):
        for name in ("scan", "label"):
            inputs, outputs, params = (swap(part, split) for part in STAGES[name]())
            job = SimpleNamespace(
                wildcards=Job(split=split),
                input=Job(**inputs),
                output=Job(**outputs),
                params=Job(**params),
                resources=Job(**RESOURCES),
                threads=1,
            )
            __import__(name).main(job)


def swap(part: dict, split: str) -> dict:
    return {k: v.replace("train", split) if isinstance(v, str) else v for k, v in part.items()}


def measure(command: list[str], folder: Path) -> Cost:
    """Run a command; return its seconds, and the peak MB of it and its children, summed."""
    with open(folder / "output.txt", "w") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        peaks: dict[int, float] = {}
        watch = threading.Thread(target=watch_tree, args=(process.pid, peaks))
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.join()
    if process.returncode:
        tail = (folder / "output.txt").read_text()[-3000:]
        raise SystemExit(f"{' '.join(command)} failed:\n{tail}")
    peaks[process.pid] = usage.ru_maxrss / 1024
    return Cost(seconds, usage.ru_utime + usage.ru_stime, sum(peaks.values()))


def watch_tree(pid: int, peaks: dict[int, float]) -> None:
    """Note the peak memory (VmHWM, MB) of the children of a process for as long as it lives."""
    while Path(f"/proc/{pid}/task").exists():
        for child in children(pid):
            peaks[child] = max(peaks.get(child, 0.0), high_water(child))
        time.sleep(0.2)


def children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return found + [grandchild for child in found for grandchild in children(child)]


def high_water(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


@contextmanager
def working_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def bench(n: int, folder: Path, only: list[str] | None) -> dict[str, Cost]:
    """Measure every stage on n pictures; stages before a wanted one run, too."""
    print(f"{n} pictures: making them", file=sys.stderr)
    make_project(folder, n)
    found = {}
    for name, arguments in COMMANDS.items():
        if not only or name in only:
            found[name] = measure([sys.executable, "-m", "snakemake", *arguments], folder)
            report(n, name, found[name])
    wanted = [index for index, name in enumerate(STAGES) if not only or name in only]
    for name in list(STAGES)[: max(wanted, default=-1) + 1]:
        with working_folder(folder):
            if name == "import_dataset":
                make_coco(n)
            elif name in BEFORE:
                BEFORE[name]()
            if name == "mix":
                small_splits()
        command = [sys.executable, str(Path(__file__).resolve()), "--stage", name]
        measured = measure(command, folder)
        if not only or name in only:
            found[name] = measured
            report(n, name, measured)
    if not only or ALL_MADE in only:
        with working_folder(folder):
            make_records(n)
        arguments = COMMANDS["snakemake -n"]
        found[ALL_MADE] = measure([sys.executable, "-m", "snakemake", *arguments], folder)
        report(n, ALL_MADE, found[ALL_MADE])
    return found


def report(n: int, name: str, cost: Cost) -> None:
    times = f"{cost.seconds:.1f} s ({cost.computing:.1f} s of computing)"
    print(f"{n} pictures, {name}: {times}, {cost.megabytes:.0f} MB", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--only", nargs="+", choices=[*COMMANDS, ALL_MADE, *STAGES])
    parser.add_argument("--folder", help="make the temporary folder in this one")
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder there")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this page")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        return run_stage(arguments.stage)
    results = {}
    for n in arguments.sizes:
        folder = Path(tempfile.mkdtemp(prefix="cia-scaling-", dir=arguments.folder))
        try:
            results[n] = bench(n, folder, arguments.only)
        finally:
            if arguments.keep:
                print(folder, file=sys.stderr)
            else:
                shutil.rmtree(folder)
    cells = {n: {name: cell(cost) for name, cost in found.items()} for n, found in results.items()}
    print(table(cells))
    if arguments.write:
        write(arguments.write, cells)


def table(cells: dict[int, dict[str, str]]) -> str:
    """Return the results as a Markdown table, a line for each command and stage."""
    sizes = sorted(cells)
    every = [*COMMANDS, ALL_MADE, *STAGES]
    names = [name for name in every if any(name in cells[n] for n in sizes)]
    lines = [
        "| pictures | " + " | ".join(f"{n:,}".replace(",", " ") for n in sizes) + " |",
        "|---|" + "---:|" * len(sizes),
    ]
    for name in names:
        line = [f"`{name}`" if name in COMMANDS else name]
        line += [cells[n].get(name, "") for n in sizes]
        lines.append(f"| {' | '.join(line)} |")
    made = (
        f"{os.cpu_count()} cores, {PER_SHARD} images per shard, Python {platform.python_version()}"
    )
    return "\n".join([*lines, "", f"Measured on {made}."])


def cell(cost: Cost) -> str:
    return f"{cost.seconds:.1f} s ({cost.computing:.1f}), {cost.megabytes:.0f} MB"


def write(page: Path, cells: dict[int, dict[str, str]]) -> None:
    """Put the results into the table of a page, between its marks."""
    before, rest = page.read_text(encoding="utf-8").split("<!-- scaling -->\n")
    old, after = rest.split("<!-- end of scaling -->")
    there = read_table(old)
    merged = {n: there.get(n, {}) | cells.get(n, {}) for n in {*there, *cells}}
    page.write_text(
        f"{before}<!-- scaling -->\n{table(merged)}\n<!-- end of scaling -->{after}",
        encoding="utf-8",
    )


def read_table(text: str) -> dict[int, dict[str, str]]:
    """Return the cells of a table that `table` has made."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]
    if not rows:
        return {}
    sizes = [int(size.replace(" ", "")) for size in rows[0][1:]]
    return {
        size: {row[0].strip("`"): row[place] for row in rows[1:] if row[place]}
        for place, size in enumerate(sizes, start=1)
    }


if __name__ == "__main__":
    main()
