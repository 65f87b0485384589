"""A loop that is specialized, and compiled where there is a JIT, and still runs its compiled code when it holds.

The call into C is in every round: a round of its own would leave the compiled code before it holds.
"""

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
        total += sorted([number], key=key)[0]
    return total


main()
