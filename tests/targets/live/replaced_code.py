"""A running target: code that is compiled, executed and freed, again and again, each time by the one caller of its name.

Each code object takes the place of an earlier one, and so do its name and its location table: only what is in them
differs.
"""

import sys

import truth

SOURCES = ["def made_%d():\n n = 0\n for i in range(20000): n += i\n return n\n" % number for number in range(5)]


def call_made(number):
    space = {}
    exec(compile(SOURCES[number], __file__, "exec"), space)
    # Last in, first out. It must be free of its globals, which refer to it, or it would wait for the collector.
    function = space.popitem()[1]
    code = function.__code__
    place = id(code), id(code.co_name), id(code.co_linetable)
    function()
    return place


def caller_0():
    return call_made(0)


def caller_1():
    return call_made(1)


def caller_2():
    return call_made(2)


def caller_3():
    return call_made(3)


def caller_4():
    return call_made(4)


CALLERS = [caller_0, caller_1, caller_2, caller_3, caller_4]


def step():
    for caller in CALLERS:
        caller()


step()
callers_by_place = {}
for caller in CALLERS * 4:
    callers_by_place.setdefault(caller(), set()).add(caller)
# From 3.12 on code objects have versions, and do not depend on their names to be told apart.
assert sys.version_info >= (3, 12) or any(len(callers) > 1 for callers in callers_by_place.values()), callers_by_place
truth.work(step, calls=[("<module>", "work"), ("work", "step"), ("step", "caller_0")])
