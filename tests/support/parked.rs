//! Runs `tests/targets/*.py` and stops at each of its reports, by a handshake: a line of JSON from the program, then the
//! program waits for a byte.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::interpreters::TestInterpreter;

/// What the interpreter says of one frame: qualified name, file, line.
pub type ToldFrame = (String, String, Option<u32>);

/// What a program tells about itself while it is parked.
#[derive(Debug, serde::Deserialize)]
pub struct Report {
    /// The scenario's name and whether it is `cold` or `warm`.
    pub scenario: String,
    /// The thread that reports (`threading.get_ident()`).
    pub current: u64,
    /// The kernel's number of that thread.
    pub tid: u32,
    /// Whether the JIT is on.
    pub jit: bool,
    /// The frames of each thread, innermost first.
    pub threads: BTreeMap<u64, Vec<ToldFrame>>,
    /// The kernel's number of each thread, where the program knows it.
    pub native: BTreeMap<u64, u64>,
}

/// A running program; killed when dropped.
pub struct Parked {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    copy: PathBuf,
}

impl Parked {
    /// Starts a program of `tests/targets` under a file name that is not ASCII.
    pub fn start(interpreter: &TestInterpreter, program: &str, args: &[&str]) -> Parked {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fpprof-{}-{number}-стек🐍.py", std::process::id());
        let (outside, inside) = interpreter.scratch();
        let copy = outside.join(&name);
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets").join(program), &copy)
            .expect("the program can be copied");
        let mut child = interpreter
            .command()
            .arg(inside.join(&name))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start ({error}): run tests/setup", interpreter.name));
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Parked { child, stdin, stdout, copy }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next report, and until the program is blocked; `None` when the program has no more.
    pub fn next_report(&mut self) -> Option<Report> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the program's output is UTF-8");
        assert!(!line.is_empty(), "the program ended without saying so");
        if line == "\n" {
            return None;
        }
        let report: Report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.wait_for_read(report.tid);
        Some(report)
    }

    /// Returns when the thread waits for a byte of standard input: the kernel says which system call it is blocked in.
    fn wait_for_read(&mut self, tid: u32) {
        let path = format!("/proc/{}/task/{tid}/syscall", self.pid());
        let read = format!("{} 0x0 ", libc::SYS_read);
        loop {
            let state = fs::read_to_string(&path).expect("the program is still there");
            if state.starts_with(&read) {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Lets the program run on.
    pub fn release(&mut self) {
        self.stdin.write_all(b"g").expect("the program waits for a byte");
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.copy);
    }
}
