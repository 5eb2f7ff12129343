"""A share of a number of images is the same count everywhere, exactly."""

import json
import re
import shutil
import subprocess
from fractions import Fraction

import pytest

from cia.reporting.gallery import PAGE
from cia.shares import count_of_ratio, count_of_share

SHARES = [f"{number / 1000:.3f}" for number in range(1001)]
TOTALS = [0, 1, 3, 7, 30, 100, 250, 1000, 4096, 99_999, 1_000_000]


def test_a_share_is_rounded_down_as_it_is_written():
    assert count_of_share(0.29, 100) == 29 and int(0.29 * 100) == 28
    for share in SHARES:
        for total in TOTALS:
            assert count_of_share(float(share), total) == int(Fraction(share) * total)


def test_the_share_of_a_count_is_that_count():
    for total in range(1, 300):
        for count in range(total + 1):
            assert count_of_share(count / total, total) == count


def test_a_ratio_is_rounded_to_the_nearest_count_and_halves_to_the_even_one():
    assert count_of_ratio(0.575, 100) == 58 and round(0.575 * 100) == 57
    assert [count_of_ratio(0.5, total) for total in (5, 7)] == [2, 4]
    assert count_of_ratio(3, 60) == 180 and count_of_ratio(120, 1) == 120


def test_the_gallery_s_page_counts_likewise():
    node = shutil.which("node")
    if node is None:
        pytest.skip("NO NODE: the page's own count of a share is not tested; install nodejs")
    code = (PAGE / "gallery.js").read_text(encoding="utf-8")
    function = re.search(r"function countOfShare.*?\n}\n", code, re.DOTALL)[0]
    pairs = [(float(share), total) for share in SHARES for total in TOTALS]
    counts = f"{json.dumps(pairs)}.map(([share, total]) => countOfShare(share, total))"
    program = f"{function}\nconsole.log(JSON.stringify({counts}))"
    done = subprocess.run([node, "-"], input=program, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [count_of_share(*pair) for pair in pairs]
