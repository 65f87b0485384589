"""A sweep of shares, from 1 to 99 %: each within three standard errors, and all on a line of slope 1.

Does: let two functions share the time. Does not: believe the shares that it asks for; the target logs what it does.
"""

import math

import verdict
from recording import record

RATE = 4000
QUICK, FULL = (1, 10, 50, 90, 99), (1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99)
SLOPE_MAY_BE_OFF_BY = 0.01


def rows(bench):
    for interpreter in bench.interpreters:
        points = []
        for percent in QUICK if bench.quick else FULL:
            yield from verdict.twice(lambda: [_point(bench, interpreter, percent, points)])
        yield _slope(interpreter, points)


def _point(bench, interpreter, percent, points):
    recorded = record(bench, interpreter, "shares.py", (percent, 100 - percent), RATE, bench.seconds(1, 6))
    spent = recorded.log["spent"]
    part, other = recorded.samples_in("first"), recorded.samples_in("second")
    truth = spent["first"] / sum(spent.values())
    points.append((truth, part / max(part + other, 1), part + other))
    return verdict.share("share", interpreter.name, "two functions", part, part + other, truth)


def _slope(interpreter, points):
    """The least-squares line through the points, each as heavy as it is certain."""
    weights = [samples / (truth * (1 - truth)) for truth, _, samples in points]
    whole = sum(weights)
    mean_x = sum(w * x for w, (x, _, _) in zip(weights, points)) / whole
    mean_y = sum(w * y for w, (_, y, _) in zip(weights, points)) / whole
    spread = sum(w * (x - mean_x) ** 2 for w, (x, _, _) in zip(weights, points))
    slope = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y, _) in zip(weights, points)) / spread
    # Short runs are not certain to 0.01.
    error = 1 / math.sqrt(spread)
    holds = abs(slope - 1) <= max(SLOPE_MAY_BE_OFF_BY, verdict.LIMIT * error)
    return verdict.Row("share", interpreter.name, "slope of all points", sum(samples for _, _, samples in points), "1",
                       f"{slope:.4f} ± {error:.4f}", f"{(slope - 1) / error:+.1f} σ", holds)
