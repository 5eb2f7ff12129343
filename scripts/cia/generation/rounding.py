"""MKL's sums that round alike wherever in a batch an image stands."""

import os
from pathlib import Path


def steady_rounding() -> None:
    """Have torch, loaded after this, give an image the same bytes wherever in its batch it stands.

    With AVX-512, MKL does so by itself (tried on Intel's and AMD's processors). With AVX2 alone,
    the edge of a matrix takes another kernel than its middle, and some images change by a level
    when they change places. Its strict mode costs nothing measurable there. Only Intel's processors
    have that; others take the one path that is the same for all rows, which is slower. An
    `MKL_CBWR` that is set already stands.

    Notes
    -----
    oneMKL Developer Guide, "Obtaining Numerically Reproducible Results".
    """
    cpuinfo = Path("/proc/cpuinfo")
    processor = cpuinfo.read_text() if cpuinfo.exists() else ""
    if "avx512f" in processor and "MKL_ENABLE_INSTRUCTIONS" not in os.environ:
        return
    intel = "GenuineIntel" in processor
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT" if intel else "COMPATIBLE")
