"""libc's qsort with a comparison in Python, again and again."""

import ctypes

COMPARISON = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
LIBC = ctypes.CDLL(None)


@COMPARISON
def compare(left, right):
    return left[0] - right[0]


def sort():
    numbers = (ctypes.c_int * 64)(*range(64, 0, -1))
    LIBC.qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), compare)


while True:
    sort()
