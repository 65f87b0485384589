"""A thread that works a little and is blocked in a system call, below a callback, again and again."""

import time


def nap(seconds):
    sum(range(20_000))
    time.sleep(seconds)
    return seconds


def main():
    list(map(nap, [0.002]))


while True:
    main()
