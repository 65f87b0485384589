"""Loops that a JIT compiles, with calls of C and of Python in them, and callbacks from C, which it does not."""


def step(value):
    return (value * 31 + 7) % 1009


def loop(n):
    total = 0
    for i in range(n):
        total += step(i) + len(str(i))
    return total


def key(n):
    return loop(2000) + n


while True:
    sorted([3, 1, 2], key=key)
    sorted(range(2000), key=step)
