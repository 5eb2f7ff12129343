"""The conda environments hold the lock's versions, and all that their scripts can import."""

import ast
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cia import catalog
from conftest import ROOT

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
SCRIPTS = ROOT / "scripts"
PLACES = packages_distributions()
OPTIONAL = {"datasets"}
"""What no environment has, since few need it; who does is told how to install it."""


def environments() -> dict[str, str]:
    """Name the environment of each script that a rule runs."""
    text = "".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    parts = re.split(r"^rule ", text, flags=re.M)[1:]
    found = [
        (re.search(r'scripts/(\w+)\.py"', part), re.search(r'envs/(\w+)\.yaml"', part))
        for part in parts
    ]
    return {script[1]: environment[1] for script, environment in found}


@cache
def imports(path: Path) -> frozenset[str]:
    """List the modules that a file imports anywhere, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found | parts(found))


def parts(found: set[str]) -> set[str]:
    """List the parts that `cia.catalog.code` can import: those of the tables that are named."""
    if "cia.catalog.code" not in found:
        return set()
    tables = {name.removeprefix("cia.catalog.") for name in found} & set(vars(catalog))
    entries = [vars(catalog)[name] for name in tables if isinstance(vars(catalog)[name], dict)]
    return {entry.code.partition(":")[0] for table in entries for entry in table.values()}


def file_of(module: str) -> Path | None:
    path = SCRIPTS / module.replace(".", "/")
    files = path.with_suffix(".py"), path / "__init__.py"
    return next((file for file in files if file.exists()), None)


def closure(script: Path) -> dict[str, Path]:
    """Return every package outside the library that a script can come to import, and where."""
    outside, seen, waiting = {}, set(), [script]
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for module in imports(file):
            parts = module.split(".")
            if parts[0] != "cia":
                outside.setdefault(parts[0], file)
                continue
            names = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
            waiting += {other for other in map(file_of, names) if other} - seen
    return {name: file for name, file in outside.items() if name not in sys.stdlib_module_names}


@cache
def installed_with(package: str) -> frozenset[str]:
    """Name a distribution and all that pip installs with it."""
    seen, waiting = set(), [canonicalize_name(package)]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        needed = [Requirement(line) for line in lines]
        waiting += {
            canonicalize_name(one.name)
            for one in needed
            if one.marker is None or one.marker.evaluate({"extra": ""})
        } - seen
    return frozenset(seen)


def held(environment: str) -> set[str]:
    text = (ROOT / f"envs/{environment}.yaml").read_text()
    pins = yaml.safe_load(text)["dependencies"][2]["pip"]
    return set().union(*(installed_with(pin.split("==")[0]) for pin in pins))


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_pins_equal_the_lock(path):
    python, pip, packages = yaml.safe_load(path.read_text())["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert dict(pin.split("==") for pin in packages["pip"]).items() <= locked().items()


def test_every_rule_names_an_environment_that_exists_and_each_is_used():
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    used = set(re.findall(r'"\.\./envs/(\w+)\.yaml"', text))
    assert used == {path.stem for path in ENVIRONMENTS}


@pytest.mark.parametrize("script, environment", sorted(environments().items()))
def test_all_that_a_script_can_import_is_in_its_environment(script, environment):
    there = held(environment)
    missing = {
        f"{name} (in {file.relative_to(ROOT)})"
        for name, file in closure(SCRIPTS / f"{script}.py").items()
        if name not in OPTIONAL
        and there.isdisjoint(map(canonicalize_name, PLACES.get(name, [name])))
    }
    assert not missing


def test_the_closure_follows_the_registry_and_functions():
    found = closure(SCRIPTS / "judge.py")
    assert {"ultralytics", "timm", "controlnet_aux", "mediapipe", "transformers"} <= set(found)
    assert "snakemake" not in found
