"""A thread that never enters Python: pthread_create(3) with pause(2) as its function."""

import ctypes

import truth


def main():
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
    truth.hold()


main()
