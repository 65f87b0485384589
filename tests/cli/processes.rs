//! What the kernel says of processes.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::patience::{eventually, milliseconds};

/// Waits until a process has worked for some milliseconds.
///
/// # Panics
/// When it does not work.
#[track_caller]
pub fn let_work(pid: i32, count: u64) {
    let until = cpu_time(pid) + milliseconds(count) * 1_000_000;
    eventually("the process works", || cpu_time(pid) > until);
}

pub fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process is there");
}

/// The state letter of a process; `X` when there is none.
pub fn state(pid: i32) -> char {
    field(pid, "State").and_then(|state| state.chars().next()).unwrap_or('X')
}

/// Who traces the process; 0 when nobody does.
pub fn tracer(pid: i32) -> i32 {
    field(pid, "TracerPid").and_then(|tracer| tracer.parse().ok()).unwrap_or(0)
}

/// A line of `/proc/PID/status`.
pub fn field(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// The threads of a process.
pub fn threads(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there").flatten();
    tasks.map(|task| task.file_name().to_string_lossy().parse().expect("a number")).collect()
}

/// The processes that a process has started.
pub fn children(pid: i32) -> Vec<i32> {
    let of = |tid: i32| fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
    let all: String = threads(pid).into_iter().map(of).collect();
    all.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether a thread is blocked in a system call.
pub fn is_in_call(pid: i32, tid: i32, call: i64) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall"));
    text.is_ok_and(|text| text.starts_with(&format!("{call} ")))
}

/// Nanoseconds that the threads of a process have been on a CPU.
pub fn cpu_time(pid: i32) -> u64 {
    // One of them may have ended since.
    threads(pid).into_iter().filter_map(|tid| time_on_cpu(pid, tid)).sum()
}

/// Nanoseconds that a thread has been on a CPU.
pub fn thread_cpu_time(pid: i32, tid: i32) -> u64 {
    time_on_cpu(pid, tid).expect("the thread is there")
}

fn time_on_cpu(pid: i32, tid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    Some(text.split(' ').next().and_then(|number| number.parse().ok()).expect("the kernel tells"))
}

/// Checks that no thread of a process is traced and that none stands still for us.
#[track_caller]
pub fn assert_untouched(pid: i32) {
    for tid in threads(pid) {
        assert_eq!(tracer(tid), 0, "thread {tid} is traced");
        assert!(!matches!(state(tid), 't' | 'Z' | 'X'), "thread {tid} is in state {}", state(tid));
    }
}

/// Checks the same, and that it gets on with its work.
#[track_caller]
pub fn assert_runs_on(pid: i32) {
    eventually("nobody traces the target", || tracer(pid) == 0);
    assert_untouched(pid);
    let before = cpu_time(pid);
    eventually("the target gets on", || cpu_time(pid) > before);
}
