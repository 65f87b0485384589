"""Forty jobs for a pool of two processes: each works for 30 ms of CPU time, and says its process and the CPU time of that."""

import os
import sys
import time


def burn(_):
    end = time.thread_time() + 0.03
    while time.thread_time() < end:
        sum(range(2000))
    os.write(1, f"{os.getpid()} job {time.process_time():.6f}\n".encode())


if __name__ == "__main__":
    if sys.argv[1] == "loky":
        from loky import get_reusable_executor

        pool = get_reusable_executor(max_workers=2)
    else:
        from concurrent.futures import ProcessPoolExecutor

        pool = ProcessPoolExecutor(2)
    list(pool.map(burn, range(40)))
    pool.shutdown()
