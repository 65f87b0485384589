"""Three threads: one computes, one compresses without the GIL, one mostly sleeps. Compare --mode cpu, wall and gil.

Usage: threads.py [SECONDS]      default: until Ctrl-C
"""

import random
import sys
import threading
import time
import zlib

stop = threading.Event()


def compute():
    while not stop.is_set():
        sum(number * number for number in range(20000))


def compress():
    data = random.Random(1).randbytes(2_000_000)
    while not stop.is_set():
        zlib.compress(data)


def poll():
    while not stop.is_set():
        time.sleep(0.05)


def main():
    workers = [threading.Thread(target=work, name=work.__name__) for work in (compute, compress, poll)]
    for worker in workers:
        worker.start()
    try:
        stop.wait(float(sys.argv[1]) if len(sys.argv) > 1 else None)
    except KeyboardInterrupt:
        pass
    stop.set()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
