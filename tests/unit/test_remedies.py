"""Commands in messages are this run's: its configuration files, and where its jobs run."""

import logging
import os
import shlex

import pytest

from cia.remedies import UnlockRemedy, command, remember_command, suggest_unlock


@pytest.mark.parametrize(
    "files, settings, arguments, expected",
    [
        ([], [], ["snakemake", "-n"], "snakemake --cores all --forcerun plan"),
        (
            ["my.yaml", "more of it.yaml"],
            [],
            ["snakemake", "--cores", "2"],
            "snakemake --cores all --forcerun plan --configfile my.yaml 'more of it.yaml'",
        ),
        (
            ["my.yaml"],
            ["shards=3"],
            ["snakemake", "--profile", "slurm", "all"],
            "snakemake --profile slurm --forcerun plan --configfile my.yaml --config shards=3",
        ),
        (
            [],
            [],
            ["snakemake", "--profile=profiles/gpu"],
            "snakemake --profile profiles/gpu --forcerun plan",
        ),
    ],
)
def test_a_command_is_this_run_s(files, settings, arguments, expected):
    remember_command([os.path.abspath(path) for path in files], settings, arguments)
    assert command("--forcerun plan") == expected


def test_a_command_means_to_snakemake_what_it_says(tmp_path):
    from snakemake.cli import get_argument_parser

    remember_command([tmp_path / "my.yaml"], ["shards=3"], ["snakemake"])
    parse = get_argument_parser().parse_args
    forced = parse(shlex.split(command("--forcerun generate"))[1:])
    assert forced.cores and forced.forcerun == {"generate"} and not forced.targets
    assert [path.name for path in forced.configfile] == ["my.yaml"]
    assert parse(shlex.split(command("prune_store"))[1:]).targets == ["prune_store"]
    assert parse(shlex.split(command("--unlock"))[1:]).unlock


def test_outside_a_run_a_command_names_no_file(monkeypatch):
    monkeypatch.delenv("CIA_COMMAND_START", raising=False)
    monkeypatch.delenv("CIA_COMMAND_END", raising=False)
    assert command("--unlock") == "snakemake --cores all --unlock"


def test_other_messages_stay_as_they_are():
    record = logging.makeLogRecord({"msg": "%d jobs", "args": (3,)})
    assert UnlockRemedy().filter(record) and record.getMessage() == "3 jobs"
    logger = logging.getLogger("test_remedies")
    suggest_unlock(logger)
    suggest_unlock(logger)
    assert len(logger.filters) == 1
