"""The workflow on a real Slurm: what its jobs ask for, and what becomes of killed ones."""

import re
import subprocess
import time
from collections import Counter

GPUS = {
    "scan": {0},
    "condition": {0},
    "vary": {0},
    "generate": {1},
    "features": {1},
    "object_features": {1},
    "judge": {0, 1},  # 1 if it judges by a network
    "metrics": {0},
    "score": {0},
    "mix": {0},
    "train": {1},
    "test": {1},
    "gallery": {0},
    "evidence": {0},
}
"""The rules that run as Slurm jobs, and the GPUs that their jobs may ask for."""

NOT_ALWAYS = {"vary", "evidence"}
"""Those of them that not every configuration has."""

SET = "data/generated/digits/tiny_canny"
PLAN = "results/digits/tiny_canny/plan.csv"
TARGET = "results/generated/digits/tiny_canny/manifest.csv"
COLUMNS = ("JobIDRaw", "State", "Comment", "ReqMem", "TimelimitRaw", "WorkDir", "AllocTRES")


def announced(output: str) -> dict[str, dict]:
    """Return what Snakemake said of each job it submitted: Slurm's job id to rule and requests."""
    jobs, current = {}, {}
    for line in output.splitlines():
        if found := re.match(r"(?:local)?rule (\w+):", line):
            current = {"rule": found[1], "threads": 1}
        elif found := re.match(r"    (jobid|threads): (\d+)", line):
            current[found[1]] = int(found[2])
            jobs[current.get("jobid")] = current
        elif line.startswith("    resources: "):
            current |= {k: int(v) for k, v in re.findall(r"\b(\w+)=(\d+)(?:,|$)", line)}
    pattern = r"Job (\d+) has been submitted with SLURM jobid (\d+)"
    return {slurm: jobs[int(job)] for job, slurm in re.findall(pattern, output)}


def resources(tres: str) -> dict[str, str]:
    """Split Slurm's `cpu=2,gres/gpu=1,mem=8000M,node=1`."""
    return dict(part.split("=") for part in tres.split(",") if part)


def slow(project) -> None:
    """Let generation take long enough to be cancelled twice."""
    project.config["datasets"]["digits"]["prepare"]["train"] = 10
    project.config["shards"] = 1
    project.config["batch_size"] = 2
    project.config["generators"]["tiny_canny"]["steps"] = 15


def images(project) -> dict[str, tuple[bytes, int]]:
    """Return each finished picture's bytes and when it was written."""
    folder = project.folder / SET / "images"
    paths = [path for path in folder.glob("*.png") if not path.name.startswith(".")]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def wait_for(condition, process, seconds: float = 900):
    """Wait until the condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert process.poll() is None, f"ended early:\n{process.stdout.read()}"
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
    return value


def queue(cluster) -> list[str]:
    """Return the ids of the jobs that wait, run or have not quite ended."""
    return cluster.run("squeue", "-h", "-o", "%A").split()


def running_generation(cluster, project) -> str:
    """Return the id of the project's generation job that runs now."""
    jobs = [line.split("|") for line in cluster.run("squeue", "-ht", "R", "-o", "%A|%k|%Z").split()]
    (id_,) = [
        id_
        for id_, comment, folder in jobs
        if comment.startswith("rule_generate_") and folder == str(project.folder)
    ]
    return id_


def starts(cluster, id_: str) -> list[dict]:
    """Return what accounting has of a job, once for each time that it started."""
    jobs = cluster.sacct("JobIDRaw", "State", "ReqMem", "Account", "Partition", "Constraints")
    return [job for job in jobs if job["JobIDRaw"] == id_]


def test_a_cancelled_and_a_requeued_job_go_on_and_end_with_the_same_files(
    cluster, demo, project, tmp_path
):
    slow(project)
    project.run(PLAN)  # what is not tested here need not wait for Slurm
    site = ["--default-resources", "slurm_account=lab", "--set-resources"]
    site += ["generate:slurm_partition=gpu", "generate:constraint=fast"]
    process = subprocess.Popen(
        project.command("--profile", "slurm", TARGET, *site),
        cwd=project.folder,
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        made = [{}]
        made.append(wait_for(lambda: more(project, made[-1]), process))
        first = running_generation(cluster, project)
        cluster.run("scancel", first)
        # until it has died it may write what it has painted
        wait_for(lambda: first not in queue(cluster), process)
        made.append(images(project))

        made.append(wait_for(lambda: more(project, made[-1]), process))
        second = running_generation(cluster, project)
        cluster.run("scontrol", "requeue", second)

        output, _ = process.communicate(timeout=1800)
    finally:
        process.kill()
    assert process.returncode == 0, output

    (cancelled,) = starts(cluster, first)
    requeued, completed = starts(cluster, second)
    assert cancelled["State"].startswith("CANCELLED")
    assert (requeued["State"], completed["State"]) == ("REQUEUED", "COMPLETED")
    where = [cancelled[key] for key in ("Account", "Partition", "Constraints")]
    assert where == ["lab", "gpu", "fast"]
    assert (cancelled["ReqMem"], completed["ReqMem"]) == ("16000M", "32000M")

    after = images(project)
    for before in made:
        assert before.items() <= after.items(), "a finished image was made twice"
    undisturbed = type(project)(tmp_path / "undisturbed")
    slow(undisturbed)
    undisturbed.snakemake("--cores", "1", TARGET)
    expected = images(undisturbed)
    assert len(after) == 20
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in expected.items()
    }
    assert (project.folder / TARGET).read_bytes() == (undisturbed.folder / TARGET).read_bytes()


def more(project, before: dict) -> dict:
    """Return the finished images if there are at least 2 more, which is a batch, than before."""
    now = images(project)
    return now if len(now) >= len(before) + 2 else {}


def test_the_demo_runs_as_jobs_with_what_their_rules_ask_for(cluster, demo):
    output = demo.finish()
    asked = announced(output)
    jobs = cluster.sacct(*COLUMNS)
    ran = {job["JobIDRaw"]: job for job in jobs if job["WorkDir"] == str(demo.checkout)}
    assert set(asked) == set(ran)
    planned = Counter(re.findall(r"^rule (\w+):", output, re.M))
    assert Counter(job["rule"] for job in asked.values()) == planned
    assert set(planned) | NOT_ALWAYS == set(GPUS)
    for id_, wanted in asked.items():
        job, rule = ran[id_], wanted["rule"]
        given = resources(job["AllocTRES"])
        assert job["State"] == "COMPLETED", (rule, job)
        assert re.match(rf"rule_{rule}(_wildcards_|$)", job["Comment"]), (rule, job)
        assert job["ReqMem"] == f"{wanted['mem_mb']}M", (rule, job)
        assert int(job["TimelimitRaw"]) == wanted["runtime"], (rule, job)
        assert int(given["cpu"]) == wanted["threads"], (rule, job)
        assert int(given.get("gres/gpu", 0)) == wanted.get("gpu", 0), (rule, job)
        assert wanted.get("gpu", 0) in GPUS[rule], (rule, job)
    print_table(asked)

    summary = (demo.checkout / "results/report/summary.md").read_text()
    assert "to real only" in summary
    print(summary)


def print_table(asked: dict[str, dict]) -> None:
    keys = ("rule", "mem_mb", "runtime", "threads", "gpu")
    rows = Counter(tuple(job.get(key, 0) for key in keys) for job in asked.values())
    print("rule        jobs      MB  minutes  cpus  gpus")
    for (rule, memory, minutes, cpus, gpus), count in sorted(rows.items()):
        print(f"{rule:<12}{count:>4}{memory:>8}{minutes:>9}{cpus:>6}{gpus:>6}")
