"""Solves the n queens problem by recursion, and ranks the boards: many short calls, in and out of C.

Usage: call_heavy.py [SECONDS]      default: until Ctrl-C
"""

import functools
import sys
import time


def safe(columns, column):
    row = len(columns)
    return all(column != other and abs(column - other) != row - at for at, other in enumerate(columns))


def solutions(size, columns=()):
    if len(columns) == size:
        yield columns
        return
    for column in range(size):
        if safe(columns, column):
            yield from solutions(size, columns + (column,))


def energy(board):
    return sum(column * row for row, column in enumerate(board))


def compare(left, right):
    return energy(left) - energy(right)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        boards = list(solutions(6))
        boards.sort(key=functools.cmp_to_key(compare))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
