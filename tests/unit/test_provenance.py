"""What a job's record says, and how records are gathered."""

import os
import subprocess
import sys
from copy import deepcopy
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from cia.config.checks import checked
from cia.config.experiments import used_config
from cia.files import write_yaml
from cia.runtime.jobs import run
from cia.runtime.provenance import (
    code_state,
    gather_records,
    job_record,
    loaded_packages,
    machine,
    owners,
    read_records,
)
from project import ROOT


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with a rule, a script and a page in it."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # a hook's would name the repository that it is of
    root = tmp_path / "repository"
    for name in ("rules/a.smk", "rules/inputs/a.smk", "scripts/a.py", "docs/a.md"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one\n")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    return root


def test_code_that_is_as_committed(repository):
    state = code_state(repository)
    head = subprocess.check_output(["git", "-C", str(repository), "rev-parse", "HEAD"], text=True)
    assert state["commit"] == head.strip()
    assert (state["dirty"], state["changed"]) == (False, [])
    (repository / "docs/a.md").write_text("two\n")  # a page decides about no result
    assert code_state(repository) == state


def test_code_that_was_changed_or_added_since(repository):
    before = code_state(repository)
    (repository / "scripts/a.py").write_text("two\n")
    (repository / "rules/b.smk").write_text("new\n")
    state = code_state(repository)
    assert state["commit"] == before["commit"] and state["dirty"]
    assert sorted(state["changed"]) == ["rules/b.smk", "scripts/a.py"]
    assert state["sha256"] != before["sha256"]


def test_code_without_git_still_has_a_digest(repository, tmp_path, monkeypatch):
    expected = code_state(repository)["sha256"]
    monkeypatch.setenv("PATH", str(tmp_path))
    state = code_state(repository)
    assert (state["commit"], state["dirty"], state["sha256"]) == (None, None, expected)


@pytest.mark.parametrize("path", ["rules/a.smk", "rules/inputs/a.smk", "scripts/a.py"])
def test_the_digest_covers_every_file_of_the_workflow(repository, path):
    before = code_state(repository)["sha256"]
    (repository / path).write_text("two\n")
    assert code_state(repository)["sha256"] != before


def test_packages_are_those_that_were_imported():
    import numpy

    packages = loaded_packages()
    assert packages["numpy"] == numpy.__version__ == version("numpy")
    code = "from cia.runtime.provenance import loaded_packages as f; print(sorted(f()))"
    command = [sys.executable, "-c", code]
    there = subprocess.check_output(command, env={"PYTHONPATH": str(ROOT / "scripts")}, text=True)
    assert "python" in there and "PyYAML" in there and "numpy" not in there


def test_the_machine_has_a_processor():
    assert "cores" in machine()["processor"] and machine()["system"]


def test_a_job_leaves_a_record_and_a_failed_one_none(tmp_path):
    job = SimpleNamespace(
        rule="scan",
        log=[str(tmp_path / "logs" / "a.log")],
        threads=1,
        wildcards={"dataset": "digits"},
        params={"version": 3},
        resources={},
    )
    path = job_record(job.log[0])
    with pytest.raises(SystemExit):
        run(lambda job: sys.exit(1), job)
    assert not path.exists()
    run(lambda job: None, job)
    record = yaml.safe_load(path.read_text())
    assert (record["rule"], record["stage_version"]) == ("scan", 3)
    assert record["wildcards"] == {"dataset": "digits"}
    assert record["packages"]["pytest"] and record["code"]["sha256"]


def record(rule="train", packages="1", **wildcards):
    return {
        "rule": rule,
        "wildcards": wildcards,
        "stage_version": 1,
        "code": {"commit": "a"},
        "machine": {},
        "packages": {"torch": packages},
    }


def test_records_are_gathered_by_rule_and_state():
    gathered = gather_records([record(), record("scan"), record(packages="2"), record()])
    assert list(gathered) == ["scan", "train"]
    assert gathered["train"]["stage_versions"] == [1]
    states = [(e["jobs"], e["packages"]["torch"]) for e in gathered["train"]["made_with"]]
    assert states == [(2, "1"), (1, "2")]


def test_records_of_what_left_the_configuration_are_not_read(tmp_path):
    for name in ("here", "gone"):
        write_yaml(tmp_path / "logs" / f"{name}.yaml", record(dataset=name, other="x"))
    found = read_records(tmp_path / "logs", {"dataset": ["here"]})
    assert [entry["wildcards"]["dataset"] for entry in found] == ["here"]


def test_records_of_earlier_versions_are_read_by_the_names_of_now(tmp_path):
    for name in ("here", "gone"):
        write_yaml(tmp_path / f"{name}.yaml", record("generate", controlnet=name))
    write_yaml(tmp_path / "study.yaml", record("study"))
    found = read_records(tmp_path, {"generator": ["here"], "rule": ["generate", "evidence"]})
    assert [entry["wildcards"] for entry in found] == [{"controlnet": "here"}]


@pytest.fixture(scope="module")
def config():
    return checked(yaml.safe_load(Path(ROOT / "config/config.yaml").read_text()))


def test_the_config_of_results_has_what_experiments_name(config):
    used = used_config(config)
    assert set(used["generators"]) == {"tiny_canny"} and set(used["conditions"]) == {"canny"}
    assert set(used["trainers"]) == {"yolov8n", "resnet"} and set(used["prompts"]) == {"recolored"}
    one = {**deepcopy(config), "experiments": config["experiments"][1:]}
    used = used_config(one)
    assert set(used["datasets"]) == {"digits"} and set(used["trainers"]) == {"resnet"}
    assert set(used["judges"]) == {"fidelity", "classifier"}


def test_the_config_of_results_lacks_what_changes_no_output(config):
    other = deepcopy(config)
    other |= {"batch_size": 3, "store": None, "prune": "drop"}
    other["mixes"]["unused"] = {"synthetic": 3.0, "duplicate": 1}
    assert used_config(other) == used_config(config)
    other["conditions"]["canny"]["low"] = 1
    assert used_config(other) != used_config(config)


def test_modules_belong_to_the_packages_that_python_says():
    import sklearn.metrics  # noqa: F401
    import yaml  # noqa: F401
    from PIL import Image  # noqa: F401

    names = {name.partition(".")[0] for name in sys.modules}
    said = packages_distributions()
    expected = {package for name in names for package in said.get(name, [])}
    assert set(owners(names)) == expected
    assert {"scikit-learn", "PyYAML", "pillow"} <= expected
