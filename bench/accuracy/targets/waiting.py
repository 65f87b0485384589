"""Threads that wait for a part of their time: `waiting.py gil|idle`.

Each logs, of its own time, what was on a CPU, and what was waiting for one, by the kernel's count (schedstat): all else it was
blocked.
"""

import sys
import threading
import time

from logged import cpu, serve, wall


def scheduled():
    """Nanoseconds on a CPU, and waiting for one, of the calling thread."""
    with open("/proc/thread-self/schedstat") as file:
        return [int(word) for word in file.read().split()[:2]]


def in_python(until):
    while wall() < until:
        pass


def in_turn(until):
    while wall() < until:
        time.sleep(0.003)
        end = cpu() + 2_000_000
        while cpu() < end:
            pass


def logged(way, until, log):
    before, begun = scheduled(), wall()
    way(until)
    after, ended = scheduled(), wall()
    ran, waited = (late - early for late, early in zip(after, before))
    log.append({"blocked": ended - begun - ran - waited, "ran": ran, "waited_for_cpu": waited})


WAYS = {"gil": [in_python, in_python], "idle": [in_turn]}


def work(until):
    log = []
    threads = [threading.Thread(target=logged, args=(way, until, log)) for way in WAYS[sys.argv[1]]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return log


serve(work)
