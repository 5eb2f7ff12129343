"""The profiles do what they promise where it can be seen without their machines."""

import re

FEATURES = "results/real/digits/train/features/tiny.npy"


def test_the_gpu_profile_gives_each_gpu_job_a_gpu_and_other_jobs_none(
    copy_of_finished, monkeypatch
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    project = copy_of_finished
    at_once = ("--max-jobs-per-timespan", "2000/1s")  # the profile's 20 s are waited for at the end
    project.snakemake("--profile", "profiles/gpu", *at_once, "--forcerun", "scan", "--", FEATURES)
    logs = project.folder / "logs"
    assert "Using GPU 0" in (logs / "features/real/digits/train/tiny.log").read_text()
    assert "GPU" not in (logs / "scan/digits/train.log").read_text()


def test_without_the_profile_a_job_takes_the_gpus_it_finds(copy_of_finished):
    project = copy_of_finished
    project.run("--forcerun", "features", "--", FEATURES)
    log = (project.folder / "logs/features/real/digits/train/tiny.log").read_text()
    assert "GPU" not in log


def test_the_slurm_profile_asks_for_gpus_and_takes_a_site_from_the_command_line(project):
    output = project.snakemake(
        *("--profile", "slurm", "--dry-run", "--default-resources", "slurm_account=lab"),
        *("--set-resources", "generate:slurm_partition=a100"),
    )
    asked = dict(re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", output, re.M))
    assert "slurm_partition=a100" in asked["generate"]
    assert "slurm_partition" not in asked["train"]
    for rule, resources in asked.items():
        assert "slurm_account=lab" in resources
        if rule in ("generate", "features", "object_features", "train", "test"):
            assert "gpu=1" in resources, rule
        if rule in ("scan", "condition", "metrics", "score", "mix"):
            assert "gpu=1" not in resources, rule
