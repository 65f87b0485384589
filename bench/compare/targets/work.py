"""Does a given amount of Python work when asked, and says what it took.

Asked `N`, it does N rounds under 25 frames and answers a JSON object: nanoseconds on its thread's CPU clock and on the wall.
"""

import json
import sys
import time

DEPTH = 25


def leaf(number):
    return number * number


def descend(left, rounds):
    if left:
        return descend(left - 1, rounds)
    total = 0
    for number in range(rounds):
        total += leaf(number & 1023)
    return total


descend(DEPTH, 100_000)
print("ready", flush=True)
for line in sys.stdin:
    wall, cpu = time.monotonic_ns(), time.thread_time_ns()
    descend(DEPTH, int(line))
    cpu, wall = time.thread_time_ns() - cpu, time.monotonic_ns() - wall
    print(json.dumps({"cpu": cpu, "wall": wall}), flush=True)
