"""The lines of one function, each with its own share of the time.

Does: compare each line. Does not: count the lines that read the clock, which are not logged.
"""

import verdict
from recording import record

RATE = 4000


def rows(bench):
    for interpreter in bench.interpreters:
        yield from verdict.twice(lambda: list(_rows(bench, interpreter)))


def _rows(bench, interpreter):
    recorded = record(bench, interpreter, "lines.py", (), RATE, bench.seconds(3, 15))
    parts = {line: recorded.samples(lambda frames: _is_at(frames[-1], line)) for line in recorded.log}
    whole = sum(parts.values())
    for line, part in parts.items():
        truth = recorded.log[line] / sum(recorded.log.values())
        yield verdict.share("lines", interpreter.name, f"line {line}", part, whole, truth)


def _is_at(frame, line):
    return frame.startswith("lines (") and frame.endswith(f":{line})")
