"""The version of what each stage puts out.

Raise a stage's number when a change of code changes its files: the number is in the `params`
of the stage's rules, so everything that depends on it reruns. A comment or a rename needs none,
and the profile keeps Snakemake's own code trigger off, which would rerun everything after each
checkout.
"""

STAGE = {
    "prepare": 1,
    "import": 1,
    "scan": 2,
    "label": 2,
    "near_duplicates": 1,
    "look": 1,
    "condition": 2,
    "vary": 3,
    "plan": 2,
    "check_models": 1,
    "generate": 2,
    "features": 1,
    "metrics": 2,
    "score": 1,
    "judge": 1,
    "filter": 2,
    "metadata": 2,
    "subset": 1,
    "mix": 3,
    "classical": 3,  # of mixes with classically augmented images
    "train": 4,
    "test": 1,
    "evidence": 5,
    "report": 4,
    "export": 1,
    "provenance": 1,
}
