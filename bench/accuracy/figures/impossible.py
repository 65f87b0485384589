"""Stacks that never were: the caller of one pair over the callee of another.

Does: look at each pair of neighbours in each stack. Does not: tolerate one. Beside the stacks, whether each function of the pairs
was met: a profile that shows none of them would have no wrong one.
"""

import verdict
from recording import record

RATE = 10_000
# A function that only the other one calls, by the way in which the target runs.
PAIRS = {
    "calls": [("first_caller", "first_callee"), ("second_caller", "second_callee")],
    "generators": [("first_consumer", "first_generator"), ("second_consumer", "second_generator")],
    "freed": [(f"caller_{number}", f"made_{number}") for number in range(3)],
}
WHAT = {"calls": "alternating calls", "generators": "generators", "freed": "code objects freed, their addresses used again"}


def rows(bench):
    for interpreter in bench.interpreters:
        for way, pairs in PAIRS.items():
            recorded = record(bench, interpreter, "impossible.py", (way,), RATE, bench.seconds(2, 10))
            callers = {callee: caller for caller, callee in pairs}
            seen, wrong = 0, 0
            for frames, count in recorded.stacks:
                names = [frame.split(" (")[0] for frame in frames]
                met = [(outer, inner) for outer, inner in zip(names, names[1:]) if inner in callers]
                seen += count * bool(met)
                wrong += count * any(not _may_call(outer, callers[inner]) for outer, inner in met)
            met_all = all(recorded.samples_in(callee) for callee in callers)
            yield verdict.Row("impossible stacks", interpreter.name, WHAT[way], seen, "0", str(wrong),
                              "" if met_all else "not all functions were met", wrong == 0 and met_all)


def _may_call(outer, caller):
    """Whether this frame is the caller, or one of its own comprehensions."""
    return outer == caller or outer.startswith(caller + ".<locals>.")
