"""Tables, as Markdown and as JSON.

Does: keep what was measured with its unit and its source, number the reasons for what is missing. Does not: measure.
"""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Missing:
    """A figure that could not be had, and why."""

    reason: str


@dataclass(frozen=True)
class Measured:
    """A figure, and the quartiles of what it is the median of."""

    value: float
    low: float = None
    high: float = None


@dataclass
class Table:
    """One figure of all profilers. `source` says what measured it, `columns` are headings with units."""

    name: str
    title: str
    source: str
    columns: list
    # What the first column names.
    subject: str = "profiler"
    rows: list = field(default_factory=list)

    def add(self, profiler, interpreter, cells):
        """A row: a cell for each column; a number, a `Measured`, a `Missing` or words."""
        assert len(cells) == len(self.columns), (self.name, cells)
        self.rows.append((profiler, interpreter, list(cells)))

    def markdown(self):
        reasons = []
        lines = [f"### {self.title}", "", f"Source: {self.source}", "",
                 f"| {self.subject} | CPython | " + " | ".join(self.columns) + " |",
                 "|---|---|" + "---:|" * len(self.columns)]
        for profiler, interpreter, cells in self.rows:
            words = [_words(cell, reasons) for cell in cells]
            lines.append(f"| {profiler} | {interpreter} | " + " | ".join(words) + " |")
        lines += [""] + [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
        return "\n".join(lines).rstrip() + "\n"

    def json(self):
        return {"name": self.name, "title": self.title, "source": self.source, "rows": [
            {self.subject: profiler, "interpreter": interpreter, **dict(zip(self.columns, map(_plain, cells)))}
            for profiler, interpreter, cells in self.rows]}


def _words(cell, reasons):
    if isinstance(cell, Missing):
        if cell.reason not in reasons:
            reasons.append(cell.reason)
        return f"– ({reasons.index(cell.reason) + 1})"
    if isinstance(cell, Measured):
        if cell.low is None:
            return number(cell.value)
        return f"{number(cell.value)} ({number(cell.low)} to {number(cell.high)})"
    return number(cell) if isinstance(cell, (int, float)) else str(cell)


def number(value):
    """Three significant digits, or all of an integer's."""
    if value == 0:
        return "0"
    if isinstance(value, int):
        return f"{value:,}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"


def _plain(cell):
    if isinstance(cell, Missing):
        return {"missing": cell.reason}
    if isinstance(cell, Measured):
        return {"value": cell.value, "low": cell.low, "high": cell.high}
    return cell
