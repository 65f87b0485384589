//! The memory that fpprof needs.

use std::process::Command;

use crate::bad_targets::Copy;
use crate::python::{self, BUSY, Program};
use crate::run::{FPPROF, Scratch, start_command};

/// Runs the rest of its arguments, and prints the peak of its child's resident memory in kilobytes.
const METER: &str = "
import resource, subprocess, sys
assert subprocess.run(sys.argv[1:]).returncode == 0
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";

fn peak_kilobytes(pid: &str) -> u64 {
    let mut command: Command = python::shared().command();
    command.args(["-c", METER, FPPROF, "record", "-r", "500", "-d", "3s", "-o", "o.svg", "-p", pid]);
    let ended = start_command(command, Scratch::new()).wait();
    ended.recorded();
    ended.stdout.trim().parse().unwrap_or_else(|_| panic!("{ended:?}"))
}

#[test]
fn a_plain_python_takes_less_than_20_megabytes() {
    // Plain: no debug information. Its build-id, by which its debug file would be found, is made another one.
    let copy = Copy::new("plain-python", |bytes| {
        // NT_GNU_BUILD_ID (3) and the owner's name, then the id (elf.h).
        let note = bytes.windows(8).position(|id| id == b"\x03\0\0\0GNU\0").expect("it has a build-id");
        bytes[note + 8] ^= 0xff;
    });
    let target = Program::start_command(copy.command(), BUSY);
    let peak = peak_kilobytes(&target.pid_text());
    assert!(peak <= 20 * 1024, "{peak} kB");
}
