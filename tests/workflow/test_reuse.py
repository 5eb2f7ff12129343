"""The store in the whole workflow: what a changed plan costs, and what pruning drops."""

import re
import shutil

TARGET = "results/generated/digits/tiny_canny/manifest.csv"
SET = "data/generated/digits/tiny_canny"


def stored(project) -> set[str]:
    return {path.name for path in (project.folder / "data/store").glob("*/*/*.png")}


def made(project) -> int:
    """How many images the shards' logs say were made."""
    folder = project.folder / "logs/generate/digits/tiny_canny"
    logs = [folder / f"{shard}.log" for shard in range(project.config["shards"])]
    found = [re.findall(r"(\d+) images made", path.read_text()) for path in logs]
    return sum(int(count) for counts in found for count in counts)


def test_a_set_costs_what_is_new_and_pruning_drops_what_left_the_plan(copy_of_finished):
    """2 images of each of 8 pictures, then 3 in other shards; then 1, and the rest is dropped."""
    project = copy_of_finished
    generator = project.config["generators"]["tiny_canny"]
    assert (len(stored(project)), made(project)) == (16, 16)
    generator["variants"], project.config["shards"] = 3, 1
    project.run(TARGET)
    assert (len(stored(project)), made(project)) == (24, 8)

    generator["variants"] = 1
    shutil.rmtree(project.folder / SET)
    before = stored(project)
    shown = project.run("prune_store")
    assert "(digits/tiny_canny)" in shown
    assert "8 images (" in shown and "16 images (" in shown and "--config prune=drop" in shown
    assert stored(project) == before
    listing = (project.folder / "results/prune_store.csv").read_text().splitlines()[1:]
    project.run("prune_store", "--config", "prune=drop")
    listed = {line.split(",")[0] + ".png" for line in listing}
    assert len(listed) == 16 and stored(project) == before - listed

    project.run(TARGET)
    assert made(project) == 0, "pruning dropped an image that the plan needs"


def test_pruning_without_a_store_says_so(project):
    project.config["store"] = None
    assert "there is nothing to prune" in project.snakemake(
        "--cores", "1", "prune_store", fails=True
    )
