"""The highest rate at which samples come.

Does: ask each profiler for the highest rate that it takes, and count what it gets. Does not: judge the stacks: what counts as a
failed one is the profiler's own word, and austin and Tachyon without --blocking do not see all that are torn.
"""

from running import record
from tables import Missing, Table


def tables(bench):
    """One table."""
    seconds = bench.seconds(1, 3)
    table = Table("highest_rate", f"The highest rate: one busy thread, {seconds} s",
                  "the profiler's own count of samples; those with complete stacks are all but the ones that it calls failed or "
                  "incomplete", ["asked for, Hz", "samples a second", "with complete stacks, a second", "its CPU, s"])
    for interpreter, profiler in bench.pairs():
        with bench.target(interpreter, "busy.py", 0) as target:
            run = record(profiler, target, profiler.highest_rate, seconds, patience=bench.patience)
        cells = [Missing(run.failure)] * 3 if run.failure else \
            [round(run.rate), round((run.taken - run.failed) / run.recorded), run.cpu]
        table.add(profiler.name, interpreter.name, [profiler.highest_rate, *cells])
    return [table]
