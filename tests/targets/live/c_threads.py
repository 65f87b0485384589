"""Threads that C starts and that enter Python once: each has a state only for as long as its callback runs."""

import ctypes
import time

import truth

libc = ctypes.CDLL(None)


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def on_event(_):
    until = time.thread_time() + 0.002
    while time.thread_time() < until:
        sum(range(50))


def step():
    thread = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(thread), None, on_event, None)
    libc.pthread_join(thread, None)


truth.work(step)
