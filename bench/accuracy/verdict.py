"""What is held against what, and whether it holds.

Does: compare a share that was sampled with the share that was logged. Does not: take either.

A share p of n samples, taken at moments that do not depend on the target, has a standard error of sqrt(p (1 - p) / n). "Within
three of them" fails once in 370 rows that are right; a row outside is therefore taken once more, from the beginning, and the
second one counts and is marked: both fail once in 137,000.
"""

import math
from dataclasses import dataclass

LIMIT = 3
HEAD = ("| figure | CPython | what | samples | truth, by the target's log | fpprof | off by | holds |\n"
        "|---|---|---|---:|---:|---:|---:|---|")


@dataclass
class Row:
    """One line of the table."""

    figure: str
    interpreter: str
    what: str
    samples: int
    truth: str
    told: str
    off: str
    # None: shown only.
    holds: bool | None

    def markdown(self):
        held = {True: "yes", False: "**NO**", None: "(shown)"}[self.holds]
        return (f"| {self.figure} | {self.interpreter} | {self.what} | {self.samples:,} | {self.truth} | {self.told} | "
                f"{self.off} | {held} |")


def share(figure, interpreter, what, part, whole, truth, shown_only=False):
    """`part` of `whole` samples against the share `truth`."""
    told = part / whole if whole else math.nan
    error = math.sqrt(truth * (1 - truth) / whole) if whole else math.nan
    off = (told - truth) / error if error else math.nan
    holds = None if shown_only else abs(told - truth) <= LIMIT * error
    return Row(figure, interpreter, what, whole, percent(truth), percent(told), f"{off:+.1f} σ", holds)


def percent(value):
    return f"{100 * value:.2f} %"


def twice(take):
    """The rows that `take` gives; those of a second time when not all of the first hold."""
    rows = take()
    if all(row.holds is not False for row in rows):
        return rows
    again = take()
    for row in again:
        row.what += " (taken again)"
    return again
