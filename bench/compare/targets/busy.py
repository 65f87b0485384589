"""One thread that runs Python calls all the time, and IDLE ones that wait for ever.

    busy.py IDLE
"""

import sys
import threading


def leaf(number):
    return number * number


def work(rounds):
    total = 0
    for number in range(rounds):
        total += leaf(number & 1023)
    return total


threading.stack_size(64 * 1024)
never = threading.Event()
started = threading.Semaphore(0)


def wait():
    started.release()
    never.wait()


for _ in range(int(sys.argv[1])):
    threading.Thread(target=wait, daemon=True).start()
    started.acquire()
print("ready", flush=True)
while True:
    work(10_000)
