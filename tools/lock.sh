#!/usr/bin/env bash
# Write requirements.txt: exact versions of all that requirements.in asks for.
# Usage: lock.sh PYTHON
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"$1" -m venv "$room/venv"
grep -v '^ciagen' requirements.in > "$room/requirements.in"
"$room/venv/bin/pip" install --quiet -r "$room/requirements.in"
# The resolver can't satisfy the plugin beside mediapipe (see below); of the peer we want one file.
"$room/venv/bin/pip" install --quiet --no-deps "snakemake-executor-plugin-slurm>=2.7.1" ciagen==1.0.1
{
  cat <<'HEAD'
# Exact versions of everything, written by `make lock`. Install with --no-deps:
# - the Slurm plugin asks for numpy 2 and mediapipe for numpy 1; the plugin uses numpy in its
#   efficiency report only, where 1.26 serves;
# - three packages ask for three builds of OpenCV, which overwrite each other; the one here holds
#   all that they use, and needs no display libraries.
HEAD
  "$room/venv/bin/pip" freeze |
    grep -v -i -E '^(pip|setuptools|opencv-python|opencv-python-headless)=' |
    sed 's/^opencv-contrib-python==/opencv-contrib-python-headless==/'
} > requirements.txt
