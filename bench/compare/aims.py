"""The project's aims, held against what was measured in the same run.

Does: look cells up in the tables and say whether an aim is met. Does not: measure, or speak of an aim without a figure.
"""

from tables import Measured, Missing, Table

FPPROF = "fpprof"


class Results:
    """The tables of a run, by name."""

    def __init__(self, tables):
        self.tables = {table.name: table for table in tables}

    def value(self, table, profiler, interpreter, column):
        """The number in a cell whose column begins with `column`; None when there is none."""
        found = self.tables.get(table)
        if found is None:
            return None
        index = next((number for number, name in enumerate(found.columns) if name.startswith(column)), None)
        for name, other, cells in found.rows:
            if index is not None and (name, other) == (profiler, interpreter):
                cell = cells[index]
                cell = cell.value if isinstance(cell, Measured) else cell
                return cell if isinstance(cell, (int, float)) else None
        return None

    def ratio(self, above, below):
        """One `value` divided by another."""
        first, second = self.value(*above), self.value(*below)
        return first / second if first is not None and second else None


def table(tables, interpreters):
    """A row for each aim and interpreter for which there is a figure."""
    result = Table("aims", "The aims", "the tables of the figures; each ratio is of two figures of this run on the same interpreter",
                   ["aim", "measured", "met"], subject="figure of fpprof")
    results = Results(tables)
    for interpreter in interpreters:
        for words, measured, met in _aims(results, interpreter.name):
            if measured is not None:
                result.add(words, interpreter.name, [met[0], measured, "yes" if met[1](measured) else "no"])
    return result


def at_most(limit, unit):
    """An aim that is met by what is not more."""
    return f"≤ {limit} {unit}".strip(), lambda value: value <= limit


def at_least(limit, unit):
    """An aim that is met by what is not less."""
    return f"≥ {limit} {unit}".strip(), lambda value: value >= limit


def _aims(results, interpreter):
    def fpprof(table, column, profiler=FPPROF):
        return results.value(table, profiler, interpreter, column)

    def times_less(table, column, peer):
        return results.ratio((table, peer, interpreter, column), (table, FPPROF, interpreter, column))

    still, deep = "standing_still_25", "standing_still_500"
    yield "stop of a running thread, depth 25, a CPU free", fpprof(still, "stop p50"), at_most(12, "µs")
    yield "the same, all CPUs busy", fpprof(still + "_busy", "stop p50"), at_most(7, "µs")
    yield "… times shorter than py-spy --native's", times_less(still, "stop p50", "py-spy --native"), at_least(25, "")
    yield "… times shorter than Tachyon --blocking's", times_less(still, "stop p50", "Tachyon --blocking"), at_least(1, "")
    depths = results.ratio((deep, FPPROF, interpreter, "stop p50"), (still, FPPROF, interpreter, "stop p50"))
    yield "stop at depth 500, times that of depth 25", depths, at_most(3, "")
    yield "… times shorter than py-spy's", times_less(deep, "stop p50", "py-spy"), at_least(50, "")
    yield "system calls disturbed, all threads", _disturbed(results, interpreter), at_most(0, "")
    for hertz in (100, 1000):
        name = f"slowdown_{hertz}"
        floor = results.value(name, "none (the noise floor)", interpreter, "in wall")
        slowdown = fpprof(name, "in wall")
        if slowdown is not None and floor is not None:
            spread = _half_spread(results, name, interpreter)
            limit = at_most(1, "%") if hertz == 1000 else at_most(spread, "%, half of the floor's spread")
            yield f"slowdown at {hertz} Hz less the floor", slowdown - floor, limit
    # Of ten seconds only: attaching and naming are in it once, however long the recording is.
    cpu = "CPU at 1000 Hz, s per 10 s"
    yield cpu, fpprof("cost", cpu), at_most(0.2, "s")
    yield "… times less than py-spy --native's", times_less("cost", cpu, "py-spy --native"), at_least(15, "")
    yield "… times less than austin's", times_less("cost", cpu, "austin"), at_least(1, "")
    yield "all threads at 100 Hz with 1,000 idle: rate", fpprof("idle_threads", "rate held with 1,000"), at_least(95, "Hz")
    yield "… CPU per 10 s", fpprof("idle_threads", "CPU with 1,000 idle, s per 10 s"), at_most(0.8, "s")
    yield "highest rate with complete stacks", fpprof("highest_rate", "with complete"), at_least(10_000, "Hz")
    yield "… times Tachyon --blocking's", results.ratio(
        ("highest_rate", FPPROF, interpreter, "with complete"),
        ("highest_rate", "Tachyon --blocking", interpreter, "with complete")), at_least(1, "")
    yield "memory over time, highest", fpprof("memory", "highest"), at_most(30, "MB")
    yield "attach to first sample", fpprof("attach", "to the first stop"), at_most(100, "ms")


def _disturbed(results, interpreter):
    found = results.tables.get("interrupted")
    for name, other, cells in found.rows if found else ():
        if (name, other) == (FPPROF + ", all threads", interpreter) and not isinstance(cells[0], Missing):
            return sum(cells[:-1])
    return None


def _half_spread(results, name, interpreter):
    for profiler, other, cells in results.tables[name].rows:
        if (profiler, other) == ("none (the noise floor)", interpreter) and isinstance(cells[1], Measured):
            return round((cells[1].high - cells[1].low) / 2, 2)
    return 0
