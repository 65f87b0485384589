"""Burns as much CPU as a profiler does, as often, and touches no other process. Not a target: it stands for a profiler.

    control.py RATE SHARE    wakes RATE times a second and computes for SHARE/RATE seconds each time, until SIGINT
"""

import sys
import time

interval = 1 / int(sys.argv[1])
burn = float(sys.argv[2]) * interval
try:
    deadline = time.monotonic()
    while True:
        until = time.thread_time() + burn
        while time.thread_time() < until:
            pass
        deadline = max(deadline + interval, time.monotonic())
        time.sleep(deadline - time.monotonic() if deadline > time.monotonic() else 0)
except KeyboardInterrupt:
    pass
