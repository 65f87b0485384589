"""A loop that a JIT compiles, blocked in a system call most of the time."""

from time import sleep


def rest(count, seconds):
    for _ in range(count):
        sleep(seconds)


rest(10_000, 0)
while True:
    rest(100, 0.01)
