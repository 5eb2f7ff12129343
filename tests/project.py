"""Runs of the real workflow, in a folder of their own, on a small configuration."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from copy import deepcopy
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("Snakefile", "rules", "scripts", "envs", "profiles", "slurm", "resources")
WEIGHTS = (".safetensors", ".pt")
COUNTS = {"train": 8, "val": 4, "test": 6}


@cache
def snakemake_server() -> subprocess.Popen:
    """The process that runs Snakemake for the tests of this one; it ends with it."""
    command = [sys.executable, ROOT / "tests" / "snakemake_server.py"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def small_config() -> dict:
    """The default configuration with one dataset, two shards, and fewer pictures, steps and arms.

    Each arm is a training, most of which is the import of its libraries.
    """
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config["shards"] = 2
    config["datasets"]["digits"]["prepare"].update(COUNTS)
    config["datasets"]["digits_scenes"]["prepare"].update(COUNTS)
    for generator in config["generators"].values():
        generator.update(steps=2, variants=2)
    for trainer in config["trainers"].values():
        trainer.update(steps=2)
    # a reader of labels of its own, so that the tests can change the trainer alone
    config["trainers"]["reader"] = dict(config["trainers"]["resnet"])
    config["judges"]["classifier"]["trainer"] = "reader"
    config["experiments"] = [
        config["experiments"][1]
        | {"selections": ["best_half"], "mixes": ["real", "plus_synthetic"]}
    ]
    return config


class Project:
    """A working folder with the workflow in it and a config of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "config" / "schema", folder / "config" / "schema")
        self.config = small_config()

    @classmethod
    def existing(cls, folder: Path) -> "Project":
        """A project that is in this folder already, with the small configuration."""
        project = cls.__new__(cls)
        project.folder, project.config = folder, small_config()
        return project

    def copy(self, folder: Path) -> "Project":
        """A copy with the same configuration; weights, which no test edits, are linked."""

        def copy(source: str, target: str) -> None:
            (os.link if source.endswith(WEIGHTS) else shutil.copy2)(source, target)

        shutil.copytree(self.folder, folder, symlinks=True, copy_function=copy)
        project = self.existing(folder)
        project.config = deepcopy(self.config)
        return project

    def write_config(self) -> None:
        path = self.folder / "config" / "config.yaml"
        path.write_text(yaml.safe_dump(self.config, sort_keys=False))

    def command(self, *arguments: str) -> list[str]:
        self.write_config()
        return [sys.executable, "-m", "snakemake", *arguments]

    def snakemake(self, *arguments: str, fails: bool = False) -> str:
        """Run snakemake and return what it printed; fail the test unless it ends as expected."""
        self.write_config()
        with tempfile.NamedTemporaryFile("r", errors="replace") as output:
            call = {
                "arguments": arguments,
                "folder": str(self.folder),
                "environment": {**os.environ, "PYTHONWARNINGS": "ignore"},
                "output": output.name,
            }
            server = snakemake_server()
            print(json.dumps(call), file=server.stdin, flush=True)
            code = int(server.stdout.readline())
            printed = output.read()
        assert (code != 0) == fails, printed[-6000:]
        return printed

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return what a dry run would run: rule to number of jobs."""
        output = self.snakemake("--dry-run", *arguments)
        if "Nothing to be done" in output:
            return {}
        table = output.split("Job stats:", 1)[1].split("total", 1)[0]
        return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}

    def run(self, *arguments: str) -> str:
        return self.snakemake("--cores", "2", *arguments)
