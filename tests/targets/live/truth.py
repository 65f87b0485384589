"""What every live target shares: it says what its own stacks are, then holds still.

A target is run as `program.py MODE [ARGUMENTS]`. When it has reached the shape that it is about, it prints one line of
JSON (the truth) on standard output and then

    park   blocks in one read(2) of standard input, or
    spin   runs a loop that calls nothing, while another thread blocks in that read.

One byte, or the end of standard input, lets it go on to its end: a target never outlives the test that started it.
"""

import os
import sys
import threading
import time

# Not `json` and `queue`, which import others written in Python: on an emulated processor that takes as long as all the rest
# of a start.
from _json import encode_basestring_ascii
from _queue import SimpleQueue

MODE = sys.argv[1] if len(sys.argv) > 1 else "park"
ARGUMENTS = sys.argv[2:]

if "FPPROF_TESTS_EMULATED" in os.environ:
    # What looks at this comes first: there, a program that runs all the time would take half of what the others have.
    os.nice(10)

# From 3.14 on, a thread runs in a context of its own: Context.run, which is C, calls Thread.run.
_ALWAYS_FROM_C = {"<module>", "Thread._bootstrap"} | ({"Thread.run"} if sys.version_info >= (3, 14) else set())

# Never written: threads other than the main one park here.
_NEVER, _KEPT_OPEN = os.pipe()
_told = SimpleQueue()
_started = []
_main = []
_released = False


def describe(frame, from_c, innermost_line):
    """One thread's frames, innermost first. `from_c` names the functions that C code called."""
    frames = []
    line = innermost_line
    while frame is not None:
        code = frame.f_code
        frames.append(
            {
                "qualname": code.co_qualname,
                "filename": code.co_filename,
                "line": frame.f_lineno if line is None else line,
                "first_line": code.co_firstlineno,
                "from_c": code.co_qualname in _ALWAYS_FROM_C.union(from_c) or _is_called_with_unpacking(frame),
            }
        )
        frame, line = frame.f_back, None
    return {"native_id": threading.get_native_id(), "name": threading.current_thread().name, "frames": frames}


def _is_called_with_unpacking(frame):
    """3.11's CALL_FUNCTION_EX goes through C; Thread.run calls its target with it."""
    caller = frame.f_back
    return sys.version_info < (3, 12) and caller is not None and caller.f_code.co_qualname == "Thread.run"


def tell(from_c=()):
    """Says that the caller is about to execute its next line and stay there.

    The main thread's word comes last and prints everybody's; when it spins, `release_when` prints instead, once the
    spinning has begun.
    """
    caller = sys._getframe(1)
    mine = describe(caller, from_c, caller.f_lineno + 1)
    if threading.current_thread() is not threading.main_thread():
        _told.put(mine)
        return
    _main.append(mine)
    if MODE == "park":
        _print_everybody([])


def _print_everybody(last):
    others = [_told.get() for _ in _started]
    threads = _main + others + last
    _print({"pid": os.getpid(), "version": list(sys.version_info[:2]), "threads": threads})


def _print(truth):
    os.write(1, _json(truth).encode() + b"\n")


def _json(value):
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join([f"{_json(key)}: {_json(member)}" for key, member in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_json, value)) + "]"
    if value is None:
        return "null"
    raise TypeError(type(value))


def start(function):
    """Starts another thread, which must call `tell`, `hold` or `park`."""
    thread = threading.Thread(target=function, name=function.__name__, daemon=True)
    _started.append(thread)
    thread.start()


def hold(from_c=()):
    """The innermost Python function of a target, in the mode that it was started in."""
    if MODE == "spin" and threading.current_thread() is threading.main_thread():
        spin(from_c)
    else:
        park(from_c)


def park(from_c=()):
    fd = 0 if threading.current_thread() is threading.main_thread() else _NEVER
    tell(from_c)
    os.read(fd, 1)


def spin(from_c=()):
    release_when(_is_spinning, _release)
    tell(from_c)
    while not _released: pass  # one line, and no call: the stack is the same at every moment


def _is_spinning():
    frame = sys._current_frames()[threading.main_thread().ident]
    return frame.f_code is spin.__code__ and frame.f_lineno == spin.__code__.co_firstlineno + 3


def _release():
    global _released
    _released = True


def release_when(is_spinning, release):
    """Starts the thread that says the truth once the main thread spins, and lets it go when it is told to."""

    def releaser():
        while not _main or not is_spinning():
            time.sleep(0.0005)
        frame = sys._getframe()
        _print_everybody([describe(frame, (), frame.f_lineno + 1)])
        os.read(0, 1)
        release()

    threading.Thread(target=releaser, name="releaser", daemon=True).start()


def stay():
    """Says that it is there, and nothing of its frames; blocks."""
    _print_alone([])
    os.read(0, 1)


def _print_alone(calls):
    thread = {"native_id": threading.get_native_id(), "name": "MainThread", "frames": []}
    _print({"pid": os.getpid(), "version": list(sys.version_info[:2]), "threads": [thread], "calls": calls})


def work(step, calls=()):
    """Runs `step` again and again: for ARGUMENTS[0] seconds when given, else until standard input says something.

    `calls` lists the pairs (caller, callee) of qualified names that can stand next to each other in a stack.
    """
    stop = threading.Event()

    def wait_for_word():
        os.read(0, 1)
        stop.set()

    threading.Thread(target=wait_for_word, name="wait_for_word", daemon=True).start()
    if ARGUMENTS:
        timer = threading.Timer(float(ARGUMENTS[0]), stop.set)
        timer.daemon = True
        timer.start()
    _print_alone([list(pair) for pair in calls])
    while not stop.is_set():
        step()
