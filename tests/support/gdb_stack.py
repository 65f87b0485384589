"""Runs inside gdb: for each line of standard input, which says what process, prints the native frames of its threads as one
line of JSON on standard output.

The frames are gdb's own, by its own unwinder. `tests/support/gdb.rs` starts it, writes the lines, and reads the answers.
"""

import json
import re
import sys

import gdb

STACK_ADDRESS = re.compile(r"{stack=(0x[0-9a-f]+)")
# More than any target has; a backtrace that does not end is an error, not a hang.
MOST_FRAMES = 20000
# gdb shows functions that were inlined, or that left the stack by a tail call, as frames: they have no stack.
VIRTUAL = (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME)
# Where gdb looks for separate debug files unless it is told.
DEBUG_FILES = gdb.parameter("debug-file-directory")
REASONS = {
    gdb.FRAME_UNWIND_NO_REASON: "older frames exist",
    gdb.FRAME_UNWIND_OUTERMOST: "outermost",
}


def cfa_of(frame):
    """The CFA, by which gdb tells a frame from others. `info frame` has it, too, after looking for every register's place."""
    frame.select()
    return int(STACK_ADDRESS.search(gdb.execute("maintenance print frame-id", to_string=True)).group(1), 16)


def sp_of(frame):
    return int(frame.read_register("sp")) % 2**64


def name_of(frame, pc, is_virtual, names):
    """The function's name; `names` has those that are known by program counter, which a deep recursion repeats."""
    if is_virtual:
        return frame.name()
    if pc not in names:
        names[pc] = frame.name()
    return names[pc]


def stack(names):
    frames = []
    frame = gdb.newest_frame()
    sp = sp_of(frame)
    while True:
        pc = int(frame.pc())
        is_virtual = frame.type() in VIRTUAL
        older = frame.older()
        # The outermost has none that means anything, and gdb fails to say so where its return address would be in a register.
        cfa = sp if older is None else cfa_of(frame)
        name = name_of(frame, pc, is_virtual, names)
        frames.append({"pc": pc, "sp": sp, "cfa": cfa, "function": name, "is_virtual": is_virtual})
        if older is None or len(frames) == MOST_FRAMES:
            break
        frame, sp = older, sp_of(older)
    reason = frame.unwind_stop_reason()
    return frames, REASONS.get(reason) or gdb.frame_stop_reason_string(reason)


def attach(target):
    """Stops a process, as an inferior of its own. The one before it is kept until then: what was read of a file for that is not
    read again."""
    before = gdb.selected_inferior()
    gdb.execute("add-inferior -no-connection", to_string=True)
    gdb.execute(f"inferior {gdb.inferiors()[-1].num}", to_string=True)
    gdb.execute(f"set sysroot {target['sysroot'] or ''}")
    gdb.execute(f"set debug-file-directory {target['symbols'] or DEBUG_FILES}")
    gdb.execute(f"file {target['executable']}", to_string=True)
    gdb.execute(f"attach {target['pid']}", to_string=True)
    gdb.execute(f"remove-inferiors {before.num}", to_string=True)


def threads_of(target):
    attach(target)
    threads, names = [], {}
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        frames, end = stack(names)
        threads.append({"tid": thread.ptid[1], "frames": frames, "end": end})
    gdb.execute("detach", to_string=True)
    return threads


def main():
    for line in sys.stdin:
        print("fpprof-stacks: " + json.dumps(threads_of(json.loads(line))), flush=True)


main()
