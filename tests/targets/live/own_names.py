"""Threads that live for some twenty milliseconds and are called by their own numbers, each where the last one was."""

import threading
import time

import truth


def handle():
    threading.current_thread().name = str(threading.get_native_id())
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        sum(range(50))


def step():
    threads = [threading.Thread(target=handle) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


truth.work(step)
