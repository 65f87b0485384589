"""NumPy's matrix product: OpenBLAS's kernels in assembly, without unwind tables."""

import numpy


def multiply(matrix):
    return matrix[:4] @ matrix + (matrix @ matrix[:, :4]).sum()


def main():
    matrix = numpy.ones((240, 240))
    while True:
        multiply(matrix)


main()
