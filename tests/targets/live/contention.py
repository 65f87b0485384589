"""Threads that run, in one way: `contention.py work python|zlib|gc`, or by turns: `… work gil|duty MILLISECONDS`."""

import gc
import mmap
import os
import sys
import threading
import time
import zlib
from _queue import SimpleQueue

import truth

# A word of each thread that has come to its loop.
BEGUN = SimpleQueue()


def in_python():
    BEGUN.put(None)
    while True:
        pass


def in_zlib():
    data = os.urandom(1 << 24)
    BEGUN.put(None)
    while True:
        zlib.compress(data, 9)


def in_gc():
    kept = [[number] for number in range(200_000)]
    BEGUN.put(None)
    while kept:
        gc.collect()


def in_turn():
    """Says by a byte in memory of its own, in a file without a name that whoever watches can open, whether it sleeps."""
    file = os.memfd_create("asleep")
    os.truncate(file, 1)
    asleep = mmap.mmap(file, 1)
    turn = int(truth.ARGUMENTS[1]) / 1000
    BEGUN.put(None)
    while True:
        asleep[0] = 1
        time.sleep(turn)
        asleep[0] = 0
        until = time.thread_time() + turn
        while time.thread_time() < until:
            pass


WAYS = {"python": [in_python], "gil": [in_python] * 4, "zlib": [in_zlib], "gc": [in_gc], "duty": [in_turn]}


def main():
    # Only the thread that is about it collects.
    gc.disable()
    if truth.ARGUMENTS[0] == "gil":
        sys.setswitchinterval(int(truth.ARGUMENTS[1]) / 1000)
    threads = [threading.Thread(target=way, name=way.__name__, daemon=True) for way in WAYS[truth.ARGUMENTS[0]]]
    for thread in threads:
        thread.start()
    for _ in threads:
        BEGUN.get()
    told = [{"native_id": thread.native_id, "name": thread.name, "frames": []} for thread in threads]
    truth._print({"pid": os.getpid(), "version": list(sys.version_info[:2]), "threads": told})
    os.read(0, 1)
    os._exit(0)


main()
