"""Functions that call in pairs only, and as fast as they can: `impossible.py calls|generators|freed`.

A stack in which the caller of one pair stands over the callee of another never was.
"""

import sys

from logged import serve, wall


def first_callee(n):
    return n + 1


def first_caller(n):
    return first_callee(n) + first_callee(n)


def second_callee(n):
    return n + 1


def second_caller(n):
    return second_callee(n) + second_callee(n)


def first_generator(n):
    for number in range(n):
        yield number


def first_consumer():
    return sum(1 for _ in first_generator(3)) and [number for number in first_generator(3)]


def second_generator(n):
    for number in range(n):
        yield number


def second_consumer():
    return sum(1 for _ in second_generator(3)) and [number for number in second_generator(3)]


def calls():
    for n in range(100):
        first_caller(n)
        second_caller(n)


def generators():
    for _ in range(100):
        first_consumer()
        second_consumer()


def made(number):
    """A function whose code object lies where that of an earlier one lay, which has been freed."""
    space = {}
    exec(f"def made_{number}():\n n = 0\n for i in range(100): n += i\n return n\n", space)
    return space.popitem()[1]


def caller_0():
    made(0)()


def caller_1():
    made(1)()


def caller_2():
    made(2)()


def freed():
    caller_0()
    caller_1()
    caller_2()


def work(until):
    steps = 0
    while wall() < until:
        WAYS[sys.argv[1]]()
        steps += 1
    return {"steps": steps}


WAYS = {"calls": calls, "generators": generators, "freed": freed}
serve(work)
