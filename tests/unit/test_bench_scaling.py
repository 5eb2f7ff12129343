"""The benchmark of stages runs every stage's script as it is now."""

import subprocess
import sys

from conftest import ROOT


def test_every_stage_runs_on_a_few_pictures(tmp_path):
    command = [sys.executable, "tools/bench_scaling.py", "--sizes", "12", "--folder", str(tmp_path)]
    done = subprocess.run([*command, "--only", "mix"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "| mix | " in done.stdout
