"""Programs of which much is to be remembered: they say a line when they are ready, and end with their standard input.

    unfolding_target.py KIND NUMBERS...
"""

import ctypes
import mmap
import os
import platform
import sys
import threading
import types

# A loop that counts its argument down, and returns.
SPIN = bytes.fromhex({"x86_64": "48ffcf75fbc3", "aarch64": "000400f1e1ffff54c0035fd6"}[platform.machine()])


def wait_for_the_end():
    os.read(0, 1)
    os._exit(0)


def ready():
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    print("ready", flush=True)


def work(count=3000):
    for number in range(count):
        count += number
    return count


def threads(number, depth):
    """So many threads that wait, each on a stack of so many frames."""
    sys.setrecursionlimit(1 << 24)
    threading.stack_size(1 << 20)
    begun, never = threading.Semaphore(0), threading.Lock()
    never.acquire()

    def down(left):
        if left:
            return down(left - 1)
        begun.release()
        never.acquire()

    for index in range(number):
        threading.Thread(target=down, args=(depth + index % 7,), daemon=True).start()
    for _ in range(number):
        begun.acquire()
    ready()
    work(1 << 62)


def deep(depth):
    sys.setrecursionlimit(1 << 24)

    def down(left):
        if left:
            return down(left - 1)
        ready()
        while True:
            work()

    down(depth)


def distinct(depth):
    """Stacks of so many frames that are never twice the same."""
    import random

    sys.setrecursionlimit(1 << 24)
    functions = []
    for index in range(50):
        scope = {"choose": lambda: functions[int(random.random() * 50)], "work": work}
        exec(f"def f{index}(left):\n    return choose()(left - 1) if left else work(30_000)\n", scope)
        functions.append(scope[f"f{index}"])
    ready()
    while True:
        functions[0](depth)


def codes(kept, table):
    """Functions that are new each time, with long names and location tables of so many bytes."""
    base = compile("def f(work):\n    work(30_000)\n", "x", "exec").co_consts[0]
    entries = base.co_linetable + b"\x80\x00" * (table // 2)
    ready()
    codes = []
    for number in range(1 << 60):
        name = (f"{number}-" * 4000)[:4000]
        code = base.replace(co_name=name, co_qualname=name, co_filename="/" + name, co_linetable=entries + bytes([0x80, number % 64]))
        codes = codes[-kept:] + [code]
        types.FunctionType(code, {})(work)


def call_for_ever(address):
    function = ctypes.CFUNCTYPE(None, ctypes.c_ulong)(address)
    ready()
    while True:
        function(100_000_000)


def address_of(mapped):
    return ctypes.addressof(ctypes.c_char.from_buffer(mapped))


def perf_map(entries, length):
    """Code without a file, and a perf map of so many names of so many bytes."""
    with open(f"/tmp/perf-{os.getpid()}.map", "w") as file:
        for entry in range(entries):
            file.write(f"{0x10000 + 16 * entry:x} 10 {str(entry).ljust(length, 'x')}\n")
    mapped = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    mapped.write(SPIN)
    call_for_ever(address_of(mapped))


def library(path):
    """Runs the code of a library of `unfolding.py`'s."""
    with open(path, "rb") as file:
        data = file.read()
        offset = data.index(SPIN)
        mapped = mmap.mmap(file.fileno(), len(data), mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    call_for_ever(address_of(mapped) + offset)


def mappings(number, length, folder):
    """So many mappings of code, in files with names of so many bytes that are none of code."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    while len(folder) + 200 < length:
        folder = os.path.join(folder, "d" * min(200, length - len(folder) - 200))
        os.mkdir(folder)
    for index in range(number // 2):
        if index % 100 == 0:
            with open(os.path.join(folder, f"{index:x<100}"), "wb") as file:
                file.write(b"x" * 8192)
            file = open(file.name, "rb")
        for protection in (mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_EXEC):
            libc.mmap(None, 4096, protection, mmap.MAP_PRIVATE, file.fileno(), 0)
    ready()
    work(1 << 62)


def far_code(path, offset):
    """Code that is mapped from far behind in a file that is gone."""
    with open(path, "wb+") as file:
        file.write(b"\x7fELF")
        file.truncate(offset + 4096)
        os.pwrite(file.fileno(), SPIN, offset)
        os.unlink(path)
        mapped = mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC, offset=offset)
    call_for_ever(address_of(mapped))


def arguments(texts):
    return [int(text) if text.isdigit() else text for text in texts]


if __name__ == "__main__":
    globals()[sys.argv[1]](*arguments(sys.argv[2:]))
