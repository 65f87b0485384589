"""Numbers made of numbers.

Does: medians and spreads. Does not: write them (`tables.py`).
"""

import statistics


def percentile(values, share):
    """The nearest-rank percentile; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def median(values):
    """The median; None of nothing."""
    return statistics.median(values) if values else None


def middle_half(values):
    """The first and the third quartile: what is written beside a median."""
    return percentile(values, 0.25), percentile(values, 0.75)
