"""Burns as much CPU as a profiler does, as often, and touches no other process. Not a target: it stands for a profiler.

    control.py RATE SHARE    wakes RATE times a second to use SHARE of a CPU in all, until SIGINT or its parent's end
"""

import os
import sys
import time

interval, share, parent = 1 / int(sys.argv[1]), float(sys.argv[2]), os.getppid()
try:
    began, used = time.monotonic(), time.process_time()
    while os.getppid() == parent:
        # Waking up costs CPU time too: what is held is the sum.
        while time.process_time() - used < share * (time.monotonic() - began):
            pass
        time.sleep(interval)
except KeyboardInterrupt:
    pass
