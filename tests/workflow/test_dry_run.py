"""The whole graph is known before the first job runs."""

import re

import pytest
import yaml

from conftest import ROOT

TARGETS = ["all", "generate_all", "metrics_all", "mix_all", "export_all", "train_all"]


def default_config() -> dict:
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_planned(project, target):
    assert project.planned(target)[target] == 1


def test_jobs_grow_with_shards_and_not_with_images(project):
    few = project.planned()
    project.config["datasets"]["digits"]["prepare"]["train"] = 5000
    assert project.planned() == few
    project.config["shards"] += 3
    more = project.planned()
    assert more.pop("generate") == few.pop("generate") + 3
    assert more.pop("judge") == few.pop("judge") + 2 * 3  # two judges
    assert more == few


def test_the_graph_is_drawn_whole(project):
    graph = project.snakemake("--rulegraph")
    for stage in ("prepare_digits", "scan", "condition", "plan", "generate", "features", "metrics"):
        assert f'"{stage}"' in graph
    for stage in ("judge", "score", "filter", "metadata", "mix", "train", "summary"):
        assert f'"{stage}"' in graph


def test_a_mistake_in_the_config_stops_before_any_job(project):
    project.config["generators"]["tiny_canny"]["guidance_scal"] = 3
    output = project.snakemake("--dry-run", fails=True)
    assert "generators.tiny_canny: unknown key 'guidance_scal'" in output
    assert "guidance_scale" in output and "Traceback" not in output


def test_a_folder_that_is_not_there_stops_before_any_job(project):
    for dataset in project.config["datasets"].values():
        dataset.pop("prepare", None)
    output = project.snakemake("--dry-run", fails=True)
    assert "data/real/digits/train/images does not exist" in output
    assert "dataset 'digits'" in output and "Job stats" not in output


def test_a_labels_folder_that_is_not_there_stops_before_any_job(project):
    project.config["datasets"]["digits"].pop("prepare")
    for split in ("train", "val", "test"):
        for kind in ("images", "labels"):
            (project.folder / "data/real/digits" / split / kind).mkdir(parents=True)
    assert project.planned()["scan"] == 3  # captions are optional
    (project.folder / "data/real/digits/val/labels").rmdir()
    output = project.snakemake("--dry-run", fails=True)
    assert "data/real/digits/val/labels does not exist" in output
    assert "Put the val labels of dataset 'digits' there" in output and "Job stats" not in output


def test_images_alone_come_with_their_labels(project):
    """So mistakes in the labels are found before the first image is generated."""
    jobs = project.planned("generate_all")
    assert (jobs["label"], jobs["label_generated"]) == (1, 1)
    assert "train" not in jobs and "metrics" not in jobs


def test_a_model_that_is_not_there_stops_before_any_job(project):
    project.config["generators"]["tiny_canny"]["model"] = "resources/gone/"
    output = project.snakemake("--dry-run", fails=True)
    assert "generators.tiny_canny.model: there is no folder 'resources/gone/'" in output
    assert "Job stats" not in output and "Traceback" not in output


EXAMPLES = ["sd15_detection", "sd15_segmentation", "sd15_pose", "sdxl_classification", "study"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_planned_once_its_folders_are_there(project, name):
    for split in ("train", "val", "test"):
        for kind in ("images", "labels"):
            (project.folder / "data/real/mydata" / split / kind).mkdir(parents=True)
    example = ROOT / "config/examples" / f"{name}.yaml"
    assert project.planned("--configfile", str(example))["train"] > 1


def test_a_dry_run_imports_nothing_heavy(project):
    """Names of models are looked up in lists, not in the libraries that have them."""
    heavy = ("torch", "diffusers", "timm", "ultralytics", "transformers", "cv2", "huggingface_hub")
    check = f"import sys; assert not (found := set({heavy}) & set(sys.modules)), found"
    project.write_config()
    snakefile = project.folder / "heavy.smk"
    snakefile.write_text(f'include: "Snakefile"\n{check}\n')
    assert "Job stats" in project.snakemake("all", "--snakefile", "heavy.smk", "--dry-run")


def test_a_word_that_yaml_takes_for_yes_is_to_be_quoted(project):
    project.write_config()
    mine = project.folder / "my.yaml"
    text = (project.folder / "config" / "config.yaml").read_text()
    mine.write_text(text.replace("- zero", "- yes").replace("  all:", "  on:"))
    output = project.snakemake("--dry-run", "--configfile", "my.yaml", fails=True)
    assert "datasets.digits.classes.0: True is not of type 'string'" in output
    assert "selections: True is not of type 'string'" in output
    assert 'unless they are in quotes: write "yes"' in output and "Traceback" not in output


def test_judges_may_have_any_name(project):
    """Their files are inputs beside others, which have names of their own."""
    for name in ("real", "synthetic_rows", "index"):
        project.config["judges"][name] = project.config["judges"].pop("fidelity", None) or {
            "kind": "text_agreement",
            "model": "openai/clip-vit-base-patch32",
        }
    project.config["experiments"][0]["judges"] = ["real", "classifier"]
    output = project.snakemake("--dry-run", "metrics_all")
    scores = output.split("rule score:")[1].split("output:")[0]
    assert "features/tiny.npy" in scores and "judged/real/0.csv" in scores


def test_a_second_core_is_for_jobs_with_many_pictures(copy_of_finished):
    """A short one would wait until two cores are free at once, and what follows with it."""
    listed = copy_of_finished.snakemake("--dry-run", "--cores", "2", "--forceall")
    assert "rule metrics:" in listed and "threads: 2" not in listed
    with open(copy_of_finished.folder / "results/real/digits/train/manifest.csv", "a") as file:
        file.write("\n" * 1_000_000)  # a table's size says how many rows it has
    listed = copy_of_finished.snakemake("--dry-run", "--cores", "2", "--forceall")
    wide = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    threads: 2$", listed, re.M)
    assert sorted(wide) == ["condition", "features"]


def test_every_rule_has_a_description(project):
    listing = project.snakemake("--list-rules")
    for line in listing.splitlines():
        if line and not line.startswith((" ", "\t")) and "profile" not in line:
            assert line.strip()


def test_the_slurm_profile_is_found_by_its_name(project):
    output = project.snakemake("--profile", "slurm", "--dry-run")
    assert "Job stats" in output


def test_a_configuration_of_one_s_own_takes_nothing_from_the_demo_s(project, tmp_path):
    own = default_config()
    # merged with the demo's entry of that name, it would have canny's thresholds
    own["conditions"]["canny"] = {"extractor": "openpose", "size": [64, 64]}
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(own))
    assert "Job stats" in project.snakemake("--dry-run", "--configfile", str(path))


def test_a_key_that_stands_twice_stops_before_any_job(project):
    project.write_config()
    path = project.folder / "config" / "config.yaml"
    lines = len(path.read_text().splitlines())
    first = path.read_text().splitlines().index("selections:") + 1
    mine = project.folder / "my.yaml"
    mine.write_text(path.read_text() + "selections:\n  mine: {method: all}\n")
    output = project.snakemake("--dry-run", "--configfile", "my.yaml", fails=True)
    assert f"my.yaml, line {lines + 1}: 'selections' stands in line {first} already" in output
    assert "Traceback" not in output
