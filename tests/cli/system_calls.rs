//! The system calls that a recording makes once it samples: what docs/security.md lists, and no other.
//!
//! Does: have strace(1) write down those of whole recordings. Does not: run in the emulated machine, which has no strace.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::python::{self, BUSY, Program};
use crate::run::{FPPROF, Scratch, start_command};

/// The names between the two lines of the document that mark its list.
fn listed() -> BTreeSet<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    let (_, rest) = page.split_once("<!-- system calls: begin -->").expect("the list begins");
    let (list, _) = rest.split_once("<!-- system calls: end -->").expect("the list ends");
    let rows = list.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    rows.flat_map(|names| names.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The system calls in a log of strace behind the first sample, which is the first time that registers are read.
fn made(log: &str) -> BTreeSet<String> {
    let behind = log.lines().skip_while(|line| !line.contains("PTRACE_GETREGSET"));
    let name = |line: &str| {
        // `PID  name(arguments…`, or that of a call that goes on: `PID  <... name resumed>`.
        let call = line.split_once(' ')?.1.trim_start();
        let call = call.strip_prefix("<... ").unwrap_or(call);
        let end = call.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        (end > 0).then(|| call.get(..end).unwrap_or_default().to_owned())
    };
    behind.filter_map(name).collect()
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "there is no strace in the emulated machine")]
fn a_recording_makes_the_listed_system_calls_and_no_other() {
    let listed = listed();
    assert!(listed.contains("process_vm_readv"), "{listed:?}");
    let target = Program::start(&python::shared(), BUSY);
    let logs = Scratch::new();
    let mut all = BTreeSet::new();
    for (mode, output, more) in [
        ("cpu", "o.svg", None),
        ("wall", "o.html", None),
        ("gil", "o.fpprof", None),
        ("wall", "o.txt", None),
        ("cpu", "o.pb.gz", None),
        ("cpu", "o.html", Some("--subprocesses")),
    ] {
        let log = logs.path().join("log");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&log).arg(FPPROF);
        command.args([
            "record",
            "--max-overhead",
            "none",
            "-d",
            "300ms",
            "-p",
            &target.pid_text(),
            "--mode",
            mode,
            "-o",
            output,
        ]);
        command.args(more);
        let ended = start_command(command, Scratch::new()).wait();
        assert_eq!(ended.code, 0, "{ended:?}");
        let made = made(&fs::read_to_string(log).unwrap());
        assert!(made.contains("process_vm_readv") && made.contains("ptrace"), "{made:?}");
        let others: Vec<_> = made.difference(&listed).collect();
        assert!(
            others.is_empty(),
            "--mode {mode} -o {output} {more:?} makes {others:?}, which docs/security.md does not list"
        );
        all.extend(made);
    }
    assert!(all.len() * 2 > listed.len(), "a list of what is never called says nothing: {:?}", listed.difference(&all));
}
