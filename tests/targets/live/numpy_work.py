"""A running target: NumPy, its BLAS and its own callbacks into Python."""

import numpy

import truth

GENERATOR = numpy.random.default_rng(7)
MATRIX = GENERATOR.random((120, 120))
VECTOR = GENERATOR.random(50000)


def multiply():
    return MATRIX @ MATRIX


def solve():
    return numpy.linalg.solve(MATRIX, MATRIX[0])


def sort():
    return numpy.sort(VECTOR)


def row_norm(row):
    return float((row * row).sum())


def apply():
    return numpy.apply_along_axis(row_norm, 1, MATRIX)


def step():
    multiply()
    solve()
    sort()
    apply()


truth.work(
    step,
    calls=[("<module>", "work"), ("work", "step")] + [("step", name) for name in ("multiply", "solve", "sort", "apply")],
)
