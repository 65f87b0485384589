//! The memory that fpprof needs.

use std::process::Command;

use crate::bad_targets::Copy;
use crate::python::{self, BUSY, Program};
use crate::run::{FPPROF, Scratch, start_command};

/// Runs the rest of its arguments, and prints the peak of its child's resident memory in kilobytes, without the child's own executable: an
/// unoptimised one is twice as large as one that is released.
const METER: &str = "
import os, resource, subprocess, sys, time
child, executable, own = subprocess.Popen(sys.argv[1:]), os.path.realpath(sys.argv[1]), 0
while child.poll() is None:
    try:
        lines = open(f'/proc/{child.pid}/smaps').readlines()
    except OSError:
        continue
    is_own, pages = False, 0
    for line in lines:
        if '-' in line.split()[0]:
            is_own = line.rstrip().endswith(executable)
        elif is_own and line.startswith('Rss:'):
            pages += int(line.split()[1])
    own = max(own, pages)
    time.sleep(0.1)
assert child.returncode == 0 and own > 0
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - own)";

fn peak_kilobytes(pid: &str) -> u64 {
    let mut command: Command = python::shared().command();
    command.args(["-c", METER, FPPROF, "record", "-r", "500", "-d", "3s", "-o", "o.svg", "-p", pid]);
    let ended = start_command(command, Scratch::new()).wait();
    ended.recorded();
    ended.stdout.trim().parse().unwrap_or_else(|_| panic!("{ended:?}"))
}

#[test]
fn a_plain_python_takes_less_than_20_megabytes() {
    // A released executable has less than 8 more.
    let beside_the_executable = 8 * 1024;
    // Plain: no debug information. Its build-id, by which its debug file would be found, is made another one.
    let copy = Copy::new("plain-python", |bytes| {
        // NT_GNU_BUILD_ID (3) and the owner's name, then the id (elf.h).
        let note = bytes.windows(8).position(|id| id == b"\x03\0\0\0GNU\0").expect("it has a build-id");
        bytes[note + 8] ^= 0xff;
    });
    let target = Program::start_command(copy.command(), BUSY);
    let peak = peak_kilobytes(&target.pid_text());
    assert!(peak <= beside_the_executable, "{peak} kB");
}
