"""Work, and now and then three calls of one kind: `calls.py KIND`. They take less than a hundredth of the time."""

import os
import sys
import time

from logged import cpu, serve, wall

NULL = os.open("/dev/null", os.O_WRONLY)
CALL = {
    "thread_time": time.thread_time,
    "getppid": os.getppid,
    "write": lambda: os.write(NULL, b"x"),
    "perf_counter": time.perf_counter,
}[sys.argv[1]]


def labour():
    return sum(i * i for i in range(6000))


def calls():
    return CALL(), CALL(), CALL()


def cost(function):
    """The CPU time of one call, ns: of several hundred, so that the two reads of the clock do not count."""
    begun = cpu()
    for _ in range(300):
        function()
    return (cpu() - begun) / 300


def work(until):
    rounds = 0
    while wall() < until:
        labour()
        calls()
        rounds += 1
    return {"rounds": rounds}


COST = {"labour": cost(labour), "calls": cost(calls)}
serve(lambda until: work(until) | COST)
