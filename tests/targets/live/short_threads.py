"""One thread after the other, each with two milliseconds of work: the state of the next is often where that of the last one was."""

import threading
import time

import truth


def handle():
    until = time.thread_time() + 0.002
    while time.thread_time() < until:
        sum(range(50))


def step():
    thread = threading.Thread(target=handle)
    thread.start()
    thread.join()


truth.work(step)
