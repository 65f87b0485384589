"""A loop that has run often enough to be specialized, and to be compiled where there is a JIT, and then holds."""

import truth

ROUNDS = 20000


def half(number):
    if number == ROUNDS - 1:
        truth.hold(from_c={"key"})
    return number // 2


def key(number):
    return half(number)


def main():
    total = 0
    for number in range(ROUNDS):
        total += half(number) if number < ROUNDS - 1 else sorted([number], key=key)[0]
    return total


main()
