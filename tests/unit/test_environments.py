"""The conda environments hold the lock's versions and nothing that the lock lacks."""

import re

import pytest
import yaml

from conftest import ROOT

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


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
