#!/usr/bin/env bash
# Write requirements.txt: exact versions of all that requirements.in asks for.
# Usage: lock.sh PYTHON
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"$1" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet -r requirements.in
# The resolver can't satisfy this one beside mediapipe (see requirements.txt).
"$room/venv/bin/pip" install --quiet --no-deps "snakemake-executor-plugin-slurm>=2.7.1"
{
  cat <<'HEAD'
# Exact versions of everything, written by `make lock`. Install with --no-deps:
# - the Slurm plugin asks for numpy 2 and mediapipe for numpy 1; the plugin uses numpy in its
#   efficiency report only, where 1.26 serves;
# - three packages ask for three builds of OpenCV, which overwrite each other; the one here holds
#   all that they use, and needs no display libraries.
HEAD
  "$room/venv/bin/pip" freeze |
    grep -v -E '^(pip|setuptools|opencv-python|opencv-python-headless)=' |
    sed 's/^opencv-contrib-python==/opencv-contrib-python-headless==/'
} > requirements.txt
