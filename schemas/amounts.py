"""Exact amounts: shares and estimates as integers, so that sums commute."""

from fractions import Fraction

#: The whole of an item. Divisible by every number of equal parts up to 16.
SHARE = 720_720
#: Estimates are kept in thousandths of a point.
POINT = 1_000


def equal_parts(count: int) -> tuple[int, ...]:
    """`count` parts of one item that always sum to `SHARE`; what does not divide goes to the first."""
    part, rest = divmod(SHARE, count)
    return (part + rest, *[part] * (count - 1))


def of_shares(amount: int) -> float:
    """Shares as a number of items."""
    return float(Fraction(amount, SHARE))


def of_points(amount: int) -> float:
    """Share x thousandths as story points."""
    return float(Fraction(amount, SHARE * POINT))


def of_seconds(amount: int) -> float:
    """Share x seconds as hours."""
    return float(Fraction(amount, SHARE * 3600))
