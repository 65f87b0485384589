"""libc's qsort with a comparison in Python: libc and libffi between two evaluations."""

import ctypes

import truth

COMPARISON = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
held = False


def compare(left, right):
    global held
    if not held:
        held = True
        truth.hold(from_c={"compare"})
    return left[0] - right[0]


def main():
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    ctypes.CDLL(None).qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), COMPARISON(compare))


main()
