"""What a result was made with: packages, code, machine.

Every job leaves a record beside its log. At the end the records are gathered, since an environment
or the code may have changed between two jobs of one result.
"""

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from cia.files import read_yaml, write_yaml

ROOT = Path(__file__).resolve().parents[3]
CODE = ("Snakefile", "rules", "scripts", "envs", "profiles", "resources")
"""What of the repository decides about results."""

_RENAMED = {"controlnet": "generator"}
"""Wildcards in records of earlier versions, and their names now."""

_SHOWN = 20


def package_versions(*names: str) -> dict[str, str]:
    """Return the installed versions of some packages, less those that are not installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def job_record(log: str | Path) -> Path:
    """Return where the record of the job with that log is."""
    return Path(log).with_suffix(".yaml")


def write_record(job: Any) -> None:
    """Write beside a job's log what made its output; at its end, when all modules are loaded."""
    write_yaml(
        job_record(job.log[0]),
        {
            "rule": job.rule,
            "wildcards": dict(job.wildcards.items()),
            "stage_version": job.params.get("version"),
            "code": code_state(ROOT),
            "machine": machine(),
            "packages": loaded_packages(),
        },
    )


def code_state(root: Path) -> dict:
    """Return git commit, whether and where the code differs from it, and a digest of the code.

    Returns
    -------
    dict
        commit (None where there is no git or no repository), dirty, changed (the first 20 files),
        sha256 of the rules and scripts, whatever git says.
    """
    commit = _git(root, "rev-parse", "HEAD")
    there = [name for name in CODE if (root / name).exists()]
    changed = _git(root, "status", "--porcelain", "--", *there) if commit else None
    files = [line[3:] for line in changed.splitlines()] if changed is not None else []
    return {
        "commit": commit,
        "dirty": bool(files) if changed is not None else None,
        "changed": files[:_SHOWN],
        "sha256": _digest_code(root),
    }


def machine() -> dict:
    """Return system, processor and GPUs; GPUs only in a job that has loaded torch."""
    torch = sys.modules.get("torch")
    gpus = range(torch.cuda.device_count()) if torch and torch.cuda.is_available() else []
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "gpus": [torch.cuda.get_device_name(index) for index in gpus],
    }


def loaded_packages() -> dict[str, str]:
    """Return Python's version and those of the packages that this process has imported."""
    names = {name.partition(".")[0] for name in sys.modules}
    return {"python": platform.python_version(), **package_versions(*owners(names))}


def owners(names: set[str]) -> list[str]:
    """Return the packages that top-level modules belong to, in alphabetical order.

    As `importlib.metadata.packages_distributions`, which takes half a second to parse the lists of
    all files of all packages, in every job.
    """
    found = set()
    for package in distributions():
        declared = package.read_text("top_level.txt")
        if declared is not None:
            owns = not names.isdisjoint(declared.split())
        else:
            listed = re.findall(r"^([^/.,\n]+)[/.]", package.read_text("RECORD") or "", re.M)
            owns = not names.isdisjoint(listed)
        if owns:
            found.add(package.metadata["Name"])
    return sorted(found, key=str.lower)


def gather_records(records: Iterable[Mapping]) -> dict[str, dict]:
    """Gather jobs' records by rule.

    Returns
    -------
    dict
        Rule to its stage version and `made_with`: each distinct state of code, machine and
        packages, with the number of jobs that ran in it, most jobs first.
    """
    rules: dict[str, dict] = {}
    for record in records:
        rule = rules.setdefault(record["rule"], {"stage_versions": set(), "made_with": []})
        rule["stage_versions"].add(record["stage_version"])
        state = {name: record[name] for name in ("code", "machine", "packages")}
        for entry in rule["made_with"]:
            if {name: entry[name] for name in state} == state:
                entry["jobs"] += 1
                break
        else:
            rule["made_with"].append({"jobs": 1, **state})
    for rule in rules.values():
        rule["stage_versions"] = sorted(rule["stage_versions"], key=str)
        rule["made_with"].sort(key=lambda entry: -entry["jobs"])
    return dict(sorted(rules.items()))


def read_records(folder: Path, names: Mapping[str, Iterable[str]]) -> list[dict]:
    """Read the records below a folder whose rule and wildcards have the values that `names` allows.

    The others are of experiments that are no longer in the configuration, or of rules that are no
    longer in the workflow.
    """
    allowed = {name: set(values) for name, values in names.items()}
    found = [read_yaml(path) for path in sorted(folder.rglob("*.yaml"))]
    return [record for record in found if _is_allowed(record, allowed)]


def _is_allowed(record: Mapping, allowed: Mapping[str, set]) -> bool:
    named = {_RENAMED.get(name, name): value for name, value in record["wildcards"].items()}
    named["rule"] = record["rule"]
    return all(value in allowed[name] for name, value in named.items() if name in allowed)


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.rstrip() if done.returncode == 0 else None


def _digest_code(root: Path) -> str:
    files = [root / "Snakefile", *root.glob("rules/**/*.smk"), *root.glob("scripts/**/*.py")]
    digest = hashlib.sha256()
    for path in sorted(file for file in files if file.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores"
