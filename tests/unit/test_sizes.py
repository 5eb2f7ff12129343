"""The size of generation: fixed, or the picture's own aspect."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cia.errors import UserError
from cia.sizes import target_size


def test_fixed_size_is_taken_as_it_is():
    assert target_size(640, 480, [512, 768]) == (512, 768)


def test_aspect_size():
    size = {"resolution": 512, "multiple": 64}
    assert target_size(512, 512, size) == (512, 512)
    assert target_size(1024, 512, size) == (704, 384)
    assert target_size(512, 1024, size) == (384, 704)
    assert target_size(64, 64, {"resolution": 64, "multiple": 8}) == (64, 64)
    assert target_size(640, 480, {"resolution": 512}) == (576, 448)


@settings(deadline=None)  # imports and a busy machine count too
@given(
    st.integers(1, 5000), st.integers(1, 5000), st.integers(8, 256), st.sampled_from([8, 16, 64])
)
def test_aspect_size_is_near_what_was_asked(width, height, resolution, multiple):
    resolution = max(resolution, multiple)
    size = target_size(width, height, {"resolution": resolution, "multiple": multiple})
    swapped = target_size(height, width, {"resolution": resolution, "multiple": multiple})
    assert swapped == size[::-1]
    exact = resolution * (width / height) ** 0.5
    assert size[0] % multiple == 0 and size[1] % multiple == 0 and min(size) >= multiple
    assert abs(size[0] - max(exact, multiple)) <= multiple / 2 + 1e-6


def test_a_resolution_below_the_multiple_is_named():
    with pytest.raises(UserError, match="size: resolution 32 is below the multiple of 64"):
        target_size(640, 480, {"resolution": 32})
