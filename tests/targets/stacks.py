"""Builds one stack after the other and tells, as JSON, what the interpreter itself says about each.

Protocol: a line of JSON on standard output, then blocked until a byte arrives on standard input. Telling and blocking
are on one line, so that the lines told are the lines that are executing.
"""

import asyncio
import ctypes
import functools
import json
import os
import re
import sys
import threading
import weakref

scenario = ""
quiet = False


def describe(frame):
    frames = []
    while frame is not None:
        frames.append([frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return frames


def told(frame):
    threads = {ident: describe(other) for ident, other in sys._current_frames().items()}
    threads[threading.get_ident()] = describe(frame)
    native = {thread.ident: thread.native_id for thread in threading.enumerate()}
    report = {
        "scenario": scenario,
        "current": threading.get_ident(),
        "tid": threading.get_native_id(),
        "jit": hasattr(sys, "_jit") and sys._jit.is_enabled(),
        "threads": threads,
        "native": native,
    }
    return json.dumps(report).encode() + b"\n"


def park(*_):
    quiet or (os.write(1, told(sys._getframe())), os.read(0, 1))


def nested():
    def middle():
        def inner():
            park()

        inner()

    middle()


def recursion(depth=1000):
    if depth == 0:
        park()
    else:
        recursion(depth - 1)


def generator():
    def leaf():
        yield 1
        park()
        yield 2

    def delegating():
        yield from leaf()

    for _ in delegating():
        pass


def coroutines():
    async def leaf():
        await asyncio.sleep(0)
        park()

    async def middle():
        await leaf()

    asyncio.run(middle())


def async_generator():
    async def numbers():
        yield 1
        park()
        yield 2

    async def consume():
        return [number async for number in numbers()]

    asyncio.run(consume())


def comprehensions():
    return [
        {
            key: park()
            for key in range(1)
        }
        for _ in range(1)
    ]


def generator_expression():
    return sum(
        park() or 1
        for _ in range(1)
    )


def multi_line():
    return max(
        1,
        len(
            str(
                park(
                    "a",
                    "b",
                )
            )
        ),
        2,
    )


def decorated():
    def passing(function):
        return function

    def parking(function):
        park()
        return function

    @passing
    @parking
    @passing
    def target():
        pass


def wrapped():
    def wrapper(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            return function(
                *args,
                **kwargs,
            )

        return call

    @wrapper
    def target(depth):
        park()

    target(depth=1)


def executed():
    source = "\n\ndef made():\n    park()\n\nmade(\n)\n"
    exec(compile(source, "<exec'ed>", "exec"), {"park": park})


def anonymous():
    (lambda: (lambda x: park())(1))()


def class_body():
    class Outer:
        class Inner:
            attribute = park()


def metaclass():
    class Meta(type):
        def __new__(cls, *args):
            park()
            return super().__new__(cls, *args)

    class Made(metaclass=Meta):
        pass


def subclass_hook():
    class Base:
        def __init_subclass__(cls):
            park()

    class Derived(Base):
        pass


def constructor():
    class Thing:
        def __init__(self):
            park()

    Thing()


def descriptor():
    class Thing:
        @property
        def value(self):
            return park()

        def __getattr__(self, name):
            return self.value

        def __add__(self, other):
            return self.missing

    Thing() + 1


def non_ascii():
    def größe():
        def 尺寸():
            def 𝔰𝔦𝔷𝔢():
                park()

            𝔰𝔦𝔷𝔢()

        尺寸()

    größe()


def sorted_key():
    sorted([1], key=park)


def sorted_twice():
    sorted([1], key=lambda _: sorted([2], key=park))


def reduced():
    functools.reduce(lambda a, b: park(), [1, 2])


def deleted():
    class Thing:
        def __del__(self):
            park()

    thing = Thing()
    del thing


def weak_callback():
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing, park)
    del thing


def substituted():
    re.sub("a", lambda match: park() or "b", "a")


def c_callback():
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    array = (ctypes.c_int * 2)(2, 1)
    ctypes.CDLL(None).qsort(array, 2, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: park() or 0))


def raised():
    try:
        raise ValueError
    except ValueError:
        try:
            park()
        finally:
            pass


def with_statement():
    class Manager:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            park()

    with Manager():
        pass


def closure():
    cell = 1

    def inner(*args, default=2, **kwargs):
        return lambda: (cell, default, park())

    inner(1, 2, x=3)()


def threads():
    if quiet:
        return
    ready, release = threading.Barrier(4), threading.Lock()
    release.acquire()

    def wait():
        def deeper():
            ready.wait(), release.acquire(), release.release()

        deeper()

    workers = [threading.Thread(target=wait) for _ in range(3)]
    for worker in workers:
        worker.start()
    ready.wait()
    # Everybody has come to the barrier; who is in `deeper` itself again waits for the release, on that same line.
    while any(sys._current_frames()[worker.ident].f_code.co_name != "deeper" for worker in workers):
        os.sched_yield()
    park()
    release.release()
    for worker in workers:
        worker.join()


def in_a_thread():
    if quiet:
        return
    begin, end = threading.Lock(), threading.Lock()
    begin.acquire(), end.acquire()

    def work():
        begin.acquire()
        park()
        end.release()

    worker = threading.Thread(target=work)
    worker.start()
    begin.release(), end.acquire()
    worker.join()


def holding_the_gil():
    if not quiet:
        buffer = ctypes.create_string_buffer(1)
        os.write(1, told(sys._getframe())), ctypes.PyDLL(None).read(0, buffer, 1)


INNER = """
import os, sys
def describe(frame):
    frames = []
    while frame is not None:
        frames.append([frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return frames
def inner_park():
    os.write(1, (TOLD % str(describe(sys._getframe()))[1:-1].replace("'", '"')).encode()); os.read(0, 1)
inner_park()
"""


def subinterpreter():
    if quiet or sys.version_info < (3, 12):
        return
    if sys.version_info < (3, 13):
        import _xxsubinterpreters as interpreters
    else:
        import _interpreters as interpreters
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, inner_source(sys._getframe()))
    interpreters.destroy(interpreter)


def inner_source(frame):
    ident = threading.get_ident()
    report = {
        "scenario": scenario,
        "current": ident,
        "tid": threading.get_native_id(),
        "jit": hasattr(sys, "_jit") and sys._jit.is_enabled(),
        "threads": {ident: ["@"] + describe(frame)},
        "native": {},
    }
    text = json.dumps(report).replace("%", "%%").replace('"@"', "%s") + "\n"
    return "TOLD = " + ascii(text) + INNER


SCENARIOS = [
    nested, recursion, generator, coroutines, async_generator, comprehensions, generator_expression, multi_line,
    decorated, wrapped, executed, anonymous, class_body, metaclass, subclass_hook, constructor, descriptor, non_ascii,
    sorted_key, sorted_twice, reduced, deleted, weak_callback, substituted, c_callback, raised, with_statement,
    closure, threads, in_a_thread, holding_the_gil, subinterpreter,
]


def main():
    global scenario, quiet
    sys.setrecursionlimit(5000)
    # Twice: as it starts, and after the interpreter has specialised (or compiled) what it runs.
    for kind, rounds in (("cold", 0), ("warm", int(sys.argv[1]))):
        for function in SCENARIOS:
            scenario, quiet = function.__name__ + " " + kind, True
            for _ in range(rounds if function not in (recursion, coroutines, async_generator) else min(rounds, 20)):
                function()
            quiet = False
            function()
    os.write(1, b"\n")


main()
