#!/usr/bin/env bash
# After os.fork(), threading.main_thread().native_id of the child is the parent's thread, in CPython up to 3.13.0.
#
# What one would guess: threading puts the main thread of a forked child right (it does so for `ident` and for the thread's name), and native_id, which is documented as the number
#   that the kernel has given the thread, is the child's own: get_native_id() says so.
# Seen: in the child ident equals get_ident(), and native_id does not equal get_native_id(): it is the number of the thread that has forked, which is alive in another process. A
#   child of multiprocessing's fork method has the right one, for that makes its Thread anew; an os.fork() of one's own, as pre-forking servers have it, has not. CPython 3.8.18, 3.11.7
#   and 3.13.0 (3.14.10 has it right), psutil 7.2.2.
# Why it matters: who names threads from outside matches `threading._active` with the kernel's threads by native_id: every pre-forked worker's main thread then has no name, or
#   on a recorder of several processes that of its master. psutil shows that no thread of the process has this number. The `ident` (the pthread) is the key that holds.
#
# Needs python3 from 3.8 to 3.13.0, with venv.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
cd "$folder"
python3 -c 'import sys; sys.exit(not (3, 8) <= sys.version_info[:3] <= (3, 13, 0))' || cannot "python3 is not from 3.8 to 3.13.0"

{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check psutil==7.2.2; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "psutil 7.2.2 could not be installed"; }

cat >forked.py <<'END'
import multiprocessing
import os
import platform
import sys
import threading

import psutil


def facts():
    main = threading.main_thread()
    numbers = {thread.id for thread in psutil.Process().threads()}
    return main.ident == threading.get_ident(), main.native_id == threading.get_native_id(), main.native_id in numbers


def put(queue):
    thread = threading.current_thread()
    queue.put(thread.native_id == threading.get_native_id())


print(f"CPython {platform.python_version()}, psutil {psutil.__version__}")
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, repr((*facts(), threading.main_thread().native_id == os.getppid())).encode())
    os._exit(0)
os.waitpid(child, 0)
ident, native_id, is_a_thread, is_the_parents = eval(os.read(read, 1000))
print(f"os.fork(): ident is right: {ident}, native_id is right: {native_id}, is a thread of the process: {is_a_thread}, is the parent's: {is_the_parents}")
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=put, args=(queue,))
process.start()
by_multiprocessing = queue.get()
process.join()
print(f"multiprocessing: native_id is right: {by_multiprocessing}")
sys.exit(0 if (ident, native_id, is_a_thread, is_the_parents, by_multiprocessing) == (True, False, False, True, True) else 1)
END

venv/bin/python forked.py
