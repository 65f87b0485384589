#!/usr/bin/env bash
# CAP_SYS_PTRACE passes the kernel's check of /proc/PID/syscall, mem, auxv and environ, and does not open them.
#
# What one would guess: proc(5) says of each of these files that a ptrace access check governs who may read it. CAP_SYS_PTRACE passes that check for any
#   process, ptrace(2) and process_vm_readv(2) work with it, so the files can be read as well.
# Seen: root with this capability alone, and a process of another user. Links (exe, root, cwd) and files with mode 0444 (maps, smaps, wchan, stat) are
#   read. What has mode 0400, 0500 or 0600 is refused when it is opened, before any ptrace check: syscall, stack, auxv, environ, mem, personality, io, fd/,
#   map_files/. That takes CAP_DAC_READ_SEARCH as well; fdinfo/ (0555) is listed without. Linux 6.18.
#   pystack 1.7.2 reads auxv and mem: `pystack remote` then says "Failed to analyze DWARF information for the remote process". py-spy 0.4.3, which needs none of
#   these files, works.
# Why it matters: "add SYS_PTRACE" is what everybody says of a sidecar. A profiler that tells blocked threads by /proc/PID/task/TID/syscall sees none of them
#   there, one that falls back from process_vm_readv to mem has no fallback, and the reason that it gives is another.
#
# Needs root, python3 with venv, setpriv (util-linux) and coreutils.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
[ "$(id -u)" = 0 ] || cannot "it takes root to give up capabilities and to start a process of another user"
chmod 755 "$folder"
cd "$folder"

{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check pystack==1.7.2 py-spy==0.4.3; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "pystack 1.7.2 and py-spy 0.4.3 could not be installed"; }

cat >look.py <<'END'
import os
import sys

for name in sys.argv[2:]:
    path = f"/proc/{sys.argv[1]}/{name}"
    try:
        if os.path.islink(path):
            os.readlink(path)
        elif os.path.isdir(path):
            os.listdir(path)
        else:
            open(path, "rb", 0).close()
        print("opens", name)
    except PermissionError:
        print("refused", name)
END

# An interpreter that any user may start.
for python in /usr/bin/python3 python3; do
    setpriv --reuid 65534 --regid 65534 --clear-groups "$python" -c '' 2>/dev/null && break
    python=
done
[ -n "$python" ] || cannot "no python3 that the user nobody may start"
setpriv --reuid 65534 --regid 65534 --clear-groups "$python" -c 'import time; print("ready", flush=True); time.sleep(600)' >ready &
target=$!
trap 'kill "$target" 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do [ -s ready ] && break; sleep 0.1; done
[ -s ready ] || cannot "the process of another user did not start"

alone() { setpriv --inh-caps=-all --bounding-set=-all,+sys_ptrace --no-new-privs "$@"; }
alone grep -q '^CapEff:.*0000000000080000$' /proc/self/status || cannot "the capability could not be had alone"
alone python3 look.py "$target" exe root cwd maps smaps wchan stat fdinfo syscall stack auxv environ mem personality io fd map_files >seen
cat seen
alone venv/bin/pystack remote "$target" >pystack.log 2>&1 || true
echo "pystack: $(tail -n 1 pystack.log)"
alone venv/bin/py-spy dump --pid "$target" >py-spy.log 2>&1 || true
echo "py-spy: $(tail -n 1 py-spy.log)"

opens=$(sed -n 's/^opens //p' seen | tr '\n' ' ')
refused=$(sed -n 's/^refused //p' seen | tr '\n' ' ')
[ "$opens" = "exe root cwd maps smaps wchan stat fdinfo " ] && [ "$refused" = "syscall stack auxv environ mem personality io fd map_files " ] &&
    grep -q 'Failed to analyze DWARF information' pystack.log && grep -q '<module>' py-spy.log ||
    { echo "CHANGED: other files are opened, or pystack or py-spy behave otherwise" >&2; exit 1; }
echo "as described"
