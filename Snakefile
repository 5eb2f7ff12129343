# CIA: controllable image augmentation.
#
#   data/real/{dataset}/{split}/                          real images, labels, captions (yours, imported, or a demo's)
#   data/conditions/{dataset}/{condition}/                condition maps of the training images
#   data/varied/{dataset}/{generator}/                   condition maps with new geometry, where a variation is asked for
#   data/generated/{dataset}/{generator}/                synthetic images, labels, captions, metadata.yaml
#   results/{source}/manifest.csv, labels.csv, features/  what is in an image set, real or generated
#   results/{dataset}/{generator}/metrics, scores, selected/  how good the synthetic images are, which are kept
#   data/mixed/{dataset}/{generator}/{selection}/{mix}/  training sets
#   data/exported/                                        training sets and synthetic images for other programs
#   results/{dataset}/{generator}/models/                trained models and their test metrics
#   results/look/{dataset}/                               the data as they are: labels drawn, counts, what is wrong
#   results/report/                                       figures, tables, summary.md, gallery.html
#   results/made/                                         what folders under data/ held when they were made
#   results/provenance.yaml                               what all of it was made with
#
# docs/output.md describes every file, config/README.md every setting.

from snakemake.utils import min_version

min_version("9.20")


if not {"experiments", "studies"} & set(
    config
):  # the demo, unless a file of yours says what to run

    configfile: "config/config.yaml"


report: "resources/report/workflow.rst"


include: "rules/common.smk"
include: "rules/remedies.smk"
include: "rules/made.smk"
include: "rules/resources.smk"
include: "rules/prepare.smk"
include: "rules/import.smk"
include: "rules/scan.smk"
include: "rules/label.smk"
include: "rules/near_duplicates.smk"
include: "rules/look.smk"
include: "rules/condition.smk"
include: "rules/vary.smk"
include: "rules/plan.smk"
include: "rules/generate.smk"
include: "rules/features.smk"
include: "rules/judge.smk"
include: "rules/metrics.smk"
include: "rules/filter.smk"
include: "rules/metadata.smk"
include: "rules/mix.smk"
include: "rules/train.smk"
include: "rules/study.smk"
include: "rules/report.smk"
include: "rules/gallery.smk"
include: "rules/export.smk"
include: "rules/provenance.smk"
include: "rules/monitor.smk"


rule all:
    """Everything: the trained models, the metadata of every image set, the report, the provenance."""
    default_target: True
    input:
        get_models(),
        get_metadata(),
        get_study_reports(),
        get_report(),
        get_exports(),
        "results/provenance.yaml",


rule look:
    """A page on each dataset as it is, before anything is made of it."""
    input:
        get_looks(),


rule generate_all:
    """Every set of synthetic images with their labels, and no more."""
    input:
        get_sets("results/generated/{dataset}/{generator}/manifest.csv"),
        get_sets("results/generated/{dataset}/{generator}/labels.csv"),


rule metrics_all:
    """The metrics and scores of every set of synthetic images."""
    input:
        get_metadata(),


rule mix_all:
    """Every training set."""
    input:
        get_mixes(),


rule export_all:
    """Every training set and set of synthetic images in the formats of `exports`."""
    input:
        get_exports(),


rule train_all:
    """Every trained model."""
    input:
        get_models(),


rule study_all:
    """Every study: whether the synthetic images helped."""
    input:
        require_studies,
