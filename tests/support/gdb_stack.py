"""Runs inside gdb: prints the native frames of each process's threads as one line of JSON on standard output.

The frames are gdb's own, by its own unwinder. `tests/support/gdb.rs` starts it, says in FPPROF_TARGETS which processes, and
reads the line.
"""

import json
import os
import re

import gdb

FRAME_AT = re.compile(r"frame at (0x[0-9a-f]+)")
# More than any target has; a backtrace that does not end is an error, not a hang.
MOST_FRAMES = 20000
# `info frame` looks for every register in every frame inside that frame.
MOST_ASKED = 20
# gdb shows functions that were inlined, or that left the stack by a tail call, as frames: they have no stack.
VIRTUAL = (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME)
REASONS = {
    gdb.FRAME_UNWIND_NO_REASON: "older frames exist",
    gdb.FRAME_UNWIND_OUTERMOST: "outermost",
}


def stated_cfa(frame):
    """The CFA as gdb prints it."""
    frame.select()
    return int(FRAME_AT.search(gdb.execute("info frame", to_string=True)).group(1), 16)


def sp_of(frame):
    return int(frame.read_register("sp")) % 2**64


def cfa_of(frame, older, ask):
    # The outermost has none that means anything, and gdb fails to say so where its return address would be in a register.
    if older is None:
        return sp_of(frame)
    # It is the stack pointer of the caller: a deep stack is not asked at every frame.
    return stated_cfa(frame) if ask or frame.type() in VIRTUAL else sp_of(older)


def stack():
    frames = []
    frame = gdb.newest_frame()
    reason = gdb.FRAME_UNWIND_NO_REASON
    while frame is not None and len(frames) < MOST_FRAMES:
        older = frame.older()
        frames.append(
            {
                "pc": int(frame.pc()),
                "sp": sp_of(frame),
                "cfa": cfa_of(frame, older, len(frames) < MOST_ASKED),
                "function": frame.name(),
                "is_virtual": frame.type() in VIRTUAL,
            }
        )
        reason = frame.unwind_stop_reason()
        frame = older
    end = REASONS.get(reason) or gdb.frame_stop_reason_string(reason)
    return frames, end


def attach(target):
    """Stops a process, as an inferior of its own: what is read of a file for one is not read again for the next."""
    gdb.execute("add-inferior -no-connection", to_string=True)
    gdb.execute(f"inferior {gdb.inferiors()[-1].num}", to_string=True)
    if target["sysroot"] is not None:
        gdb.execute(f"set sysroot {target['sysroot']}")
        gdb.execute(f"set debug-file-directory {target['symbols']}")
    gdb.execute(f"file {target['executable']}", to_string=True)
    gdb.execute(f"attach {target['pid']}", to_string=True)


def threads_of(target):
    attach(target)
    threads = []
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        frames, end = stack()
        threads.append({"tid": thread.ptid[1], "frames": frames, "end": end})
    gdb.execute("detach", to_string=True)
    return threads


def main():
    targets = json.loads(os.environ["FPPROF_TARGETS"])
    print("fpprof-stacks: " + json.dumps([threads_of(target) for target in targets]), flush=True)


main()
