#!/usr/bin/env bash
# The files of a process that is not dumpable become root's in /proc, and its folder does not.
#
# What one would guess: proc_pid(5) says that what is inside /proc/PID is made root's when the process is not dumpable. The folder goes with it, so stat(2) of
#   /proc/PID tells whether a process is dumpable: if not, its owner is another than the user in `status`.
# Seen: a process that was root and becomes another user has the dumpable attribute 0. `status`, `maps`, `fd`, `ns` and `mem` are root's then; the folder
#   itself, and the folders `task`, `attr` and `net`, stay the user's. Those with mode 0555 are left out in the kernel (task_dump_owner in fs/proc/base.c). After
#   prctl(PR_SET_DUMPABLE, 1) all are the user's. Linux 6.18. psutil 7.2.2's username() and ps show the user in both cases, by other ways.
# Why it matters: why a user's profiler may not attach to the user's own process is hard to tell: the ids are the same, no capability is missing, Yama is silent.
#   The owner of a file is the one sign; that of the folder, which one looks at first, says that all is well.
#
# Needs root, python3 with venv and coreutils.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
[ "$(id -u)" = 0 ] || cannot "it takes root to become another user"
cd "$folder"

{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check psutil==7.2.2; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "psutil 7.2.2 could not be installed"; }

cat >owners.py <<'END'
import ctypes
import os

import psutil

GET_DUMPABLE, SET_DUMPABLE, NOBODY = 3, 4, 65534
libc = ctypes.CDLL(None)
os.setgid(NOBODY)
os.setuid(NOBODY)


def tell():
    owners = {part or ".": os.stat(f"/proc/self/{part}").st_uid for part in ("", "task", "attr", "status", "maps", "fd", "ns", "mem")}
    print(f"dumpable {libc.prctl(GET_DUMPABLE)}:", *(f"{part}={owner}" for part, owner in owners.items()), f"username()={psutil.Process().username()}")


tell()
libc.prctl(SET_DUMPABLE, 1)
tell()
END
venv/bin/python owners.py | tee seen
want='dumpable 0: .=65534 task=65534 attr=65534 status=0 maps=0 fd=0 ns=0 mem=0 username()=nobody
dumpable 1: .=65534 task=65534 attr=65534 status=65534 maps=65534 fd=65534 ns=65534 mem=65534 username()=nobody'
[ "$(cat seen)" = "$want" ] || { echo "CHANGED: other owners" >&2; exit 1; }
echo "as described"
