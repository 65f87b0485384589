"""A thread that reads the clock in a tight loop under DEPTH Python frames, and logs how long it did not run.

    gaps.py DEPTH FLOOR_NS

Beside it, the file `log` is mapped: two 64-bit numbers, the gaps beyond the floor and their sum in nanoseconds, both ever growing.
"""

import mmap
import os
import struct
import sys
import time

depth, floor = int(sys.argv[1]), int(sys.argv[2])
sys.setrecursionlimit(depth + 100)


def spin(left, log, now):
    if left:
        return spin(left - 1, log, now)
    count = total = 0
    print("ready", flush=True)
    last = now()
    while True:
        time_now = now()
        if time_now - last > floor:
            count += 1
            total += time_now - last
            struct.pack_into("=QQ", log, 0, count, total)
            # Logging is not a gap.
            time_now = now()
        last = time_now


file = os.open(os.path.join(os.path.dirname(__file__), "log"), os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 16)
spin(depth - 2, mmap.mmap(file, 16), time.monotonic_ns)
