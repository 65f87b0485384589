//! Why a process cannot be read, as words and a remedy.
//!
//! Does: turn every reason into a message and what to do about it. Does not: find the reasons.

use std::process::ExitStatus;

use super::failure::Failure;
use super::messages::say;
use crate::process::find::OpenError;
use crate::python::runtime::RuntimeError;
use crate::sampler::follower::{Followed, Refused};
use crate::sampler::open::AttachError;
use crate::target::access::diagnose;
use crate::target::launch::{LaunchError, exit_code};
use crate::target::obstacle::Obstacle;
use crate::target::process::ProcessError;
use crate::target::view::Identity;
use crate::types::Pid;

/// The system does not let us read a process.
fn denied(pid: Pid, obstacle: &Obstacle) -> Failure {
    let what = match obstacle {
        Obstacle::TracedBy { .. } => format!("process {pid} cannot be read: {obstacle}"),
        _ => format!("no permission to read process {pid}: {obstacle}"),
    };
    Failure::new(what).with_hint(obstacle.remedy())
}

/// A target could not be got hold of.
pub fn attach(error: &AttachError) -> Failure {
    match error {
        AttachError::Process(error) => process(error),
        AttachError::Denied(pid, obstacle) => denied(*pid, obstacle),
        AttachError::NoTracing(..) => Failure::new(error)
            .with_hint("A kernel or sandbox without ptrace (gVisor, a seccomp profile) cannot be profiled into."),
        AttachError::Unreadable { process, error } => open(&process.identity, error),
        AttachError::EndedTooEarly(status) => ended_too_early("the program", *status),
        AttachError::Interrupted(pid) => interrupted(*pid),
    }
}

/// The same of a program that we have started, by this name; where it is alive, it runs on.
pub fn launched(error: &AttachError, name: &str) -> Failure {
    match error {
        AttachError::Unreadable { process, error } => open(&process.identity, error)
            .and_hint(&format!("The program runs on as process {}.", process.identity.pid)),
        AttachError::EndedTooEarly(status) => ended_too_early(&format!("`{name}`"), *status),
        _ => attach(error),
    }
}

/// A process cannot be a target.
fn process(error: &ProcessError) -> Failure {
    let failure = Failure::new(error);
    match error {
        ProcessError::NotFound(_) => failure.with_hint(
            "`pgrep -af python` lists the Python processes; in a container, use the pid that fpprof's own pid namespace shows.",
        ),
        ProcessError::Hidden(_) => failure.with_hint(
            "/proc is mounted with `hidepid`, or is another pid namespace's: run fpprof as root (`sudo fpprof …`), or where /proc shows all.",
        ),
        ProcessError::IsThread { process, .. } => failure.with_hint(format!("Give the process: `--pid {process}`.")),
        ProcessError::Zombie(_) | ProcessError::KernelThread(_) => {
            failure.with_hint("It runs no code: choose a process that is alive.")
        }
        ProcessError::ForeignArchitecture { .. } => {
            failure.with_hint("fpprof reads 64-bit programs of the machine that it runs on.")
        }
        ProcessError::Denied { pid, .. } => denied(*pid, &diagnose(*pid)),
    }
}

/// A process holds no interpreter that can be read.
fn open(process: &Identity, error: &OpenError) -> Failure {
    let OpenError::Interpreter(error) = error else { return denied(process.pid, &diagnose(process.pid)) };
    let (pid, program) = (process.pid, process.executable.display());
    let failure = Failure::new(format_args!("process {pid} ({program}): {error}"));
    failure.with_hint(match error {
        RuntimeError::NotPython => {
            "fpprof reads CPython 3.11 and later. If a wrapper has started Python, give the pid of Python itself \
             (`pgrep -P PID` lists a process's children)."
        }
        RuntimeError::PyPy => "fpprof reads CPython only; PyPy has a profiler of its own, vmprof.",
        RuntimeError::TooOld(_) => "Run the program with CPython 3.11 or later.",
        RuntimeError::NotInitialised(_) => {
            "Wait until the program has started Python, or let fpprof start it: `fpprof record -- python3 …`."
        }
        RuntimeError::Unreadable(_) | RuntimeError::BadOffsets { .. } => {
            "Is it a debug build, or a build of a version that is not released? Please report it with `python -VV`."
        }
    })
}

/// The threads that hold the GIL are wanted of an interpreter that has none. `runs_on`: it is a program that we have
/// started.
pub fn no_gil(process: &Identity, runs_on: bool) -> Failure {
    let pid = process.pid;
    let what = "is a free-threaded build of CPython, which has no GIL: there is nothing for `--mode gil` to record";
    let failure = Failure::new(format_args!("process {pid} {what}"))
        .with_hint("Record the threads that run, `--mode cpu`, or all, `--mode wall`.");
    if runs_on { failure.and_hint(&format!("The program runs on as process {pid}.")) } else { failure }
}

/// A program cannot be started. The exit code is that of shells and env(1).
pub fn launch(error: &LaunchError) -> Failure {
    let (hint, code) = match error.source.kind() {
        std::io::ErrorKind::NotFound => ("Is it installed, and its folder in PATH? Otherwise give its path.", 127),
        std::io::ErrorKind::PermissionDenied => {
            ("It must be an executable file; a script without that permission is started by `-- python3 SCRIPT`.", 126)
        }
        _ => ("Give a program that can be executed: `fpprof record -- python3 script.py`.", 126),
    };
    Failure::new(error).with_hint(hint).with_exit_code(code)
}

/// A program that we have started is no more, and was never seen to be Python. Its own exit code is kept, unless that
/// says that all is well.
fn ended_too_early(program: &str, status: ExitStatus) -> Failure {
    let how = match std::os::unix::process::ExitStatusExt::signal(&status) {
        Some(signal) => format!("by signal {signal}"),
        None => format!("with status {}", status.code().unwrap_or(-1)),
    };
    Failure::new(format_args!("{program} ended ({how}) before Python was seen in it: nothing was recorded"))
        .with_hint(
            "Is it Python, and not a program that starts Python as a child? Does it run for longer than an instant?",
        )
        .with_exit_code(exit_code(status))
}

/// None of the chosen processes can be sampled.
pub fn none_found(followed: &Followed) -> Failure {
    let Followed { not_python, refused, refused_in_all, .. } = followed;
    if let Some(first) = refused.first() {
        let others = match refused_in_all {
            0 | 1 => String::new(),
            all => format!(" (and {} more)", all - 1),
        };
        return Failure::new(format_args!("none of the chosen processes can be read: {}{others}", first.reason))
            .with_hint(format!("`fpprof doctor --pid {}` says what would help.", first.pid));
    }
    let what = match not_python {
        0 => "there is no process that is chosen".to_owned(),
        1 => "the one process that is chosen does not run CPython".to_owned(),
        all => format!("none of the {all} processes that are chosen runs CPython"),
    };
    Failure::new(what).with_hint(
        "`pgrep -af python` lists the Python processes with the command lines that `--name` is compared with; `--wait` waits for one.",
    )
}

/// Says which of the chosen processes could not be read, beside others that could.
pub fn say_refused(followed: &Followed, what: &str) {
    for Refused { pid, name, reason } in &followed.refused {
        say(format_args!("fpprof: warning: process {pid} ({name}) {what}: {reason}"));
    }
}

/// There can be no thread for what is to be done.
pub fn no_thread(error: &std::io::Error) -> Failure {
    Failure::new(format_args!("there can be no thread that records: {error}"))
        .with_hint("`ulimit -u` and the container's limit of processes say how many threads there may be.")
}

/// Ctrl-C or SIGTERM came before there was any of the chosen processes.
pub fn interrupted_waiting() -> Failure {
    Failure::new("interrupted before there was a process to record: nothing was recorded")
        .with_hint("Start fpprof again when there is one.")
        .with_exit_code(130)
}

/// Ctrl-C or SIGTERM came first.
fn interrupted(pid: Pid) -> Failure {
    Failure::new(format_args!("interrupted before Python was seen in process {pid}: nothing was recorded"))
        .with_hint("Start fpprof again; the process itself has not been touched.")
        .with_exit_code(130)
}

/// Ctrl-C or SIGTERM came again when the recording had ended: `meanwhile`, and so `what_is_lost`.
pub fn given_up(meanwhile: &str, what_is_lost: &str) -> Failure {
    Failure::new(format_args!("interrupted again while {meanwhile}: {what_is_lost}"))
        .with_hint("One Ctrl-C ends a recording and writes it; the target runs on.")
        .with_exit_code(130)
}
