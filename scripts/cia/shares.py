"""Shares and ratios that become counts, exactly: 0.29 of 100 is 29.

As a float 0.29 is a little less, and so is its product with 100: 28.999999999999996. Light on
purpose: the Snakefile imports it for every dry run.
"""

from fractions import Fraction


def count_of_share(share: float, total: int) -> int:
    """Return how many of `total` a share is, rounded down.

    It is the largest count that is no larger share of the total, in floats, which divide exactly
    enough for shares of up to nine decimals and totals of a million: there it is the share as
    written. It is so for the share of a count, too: `count_of_share(7 / 30, 30)` is 7. The
    gallery's page has the same few lines, so that both keep the same images.
    """
    if not total:
        return 0
    count = int(share * total) + 1
    while count / total > share:
        count -= 1
    return count


def count_of_ratio(ratio: float, total: int) -> int:
    """Return the count nearest to a ratio, as written, times a total; the even one of two."""
    return round(Fraction(str(ratio)) * total)
