//! Getting hold of the target: attach to a process or start a program, and wait until there is Python in it.
//!
//! Does: turn every reason why a process cannot be recorded into a message and a remedy.
//! Does not: sample.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::capture::ptrace::{Stop, StopError, Wait};
use crate::cli::failure::Failure;
use crate::python::runtime::RuntimeError;
use crate::sampler::reader::OpenError;
use crate::sampler::session::{Mode, Session};
use crate::target::access::{Obstacle, diagnose};
use crate::target::process::{Process, ProcessError};
use crate::types::{Pid, Tid};

/// How long an interpreter may take to start: shell wrappers and slow disks included.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How often to look for it meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Attaches to a running process.
///
/// # Errors
/// Why it cannot be recorded, and what to do.
pub fn attach(pid: Pid, mode: Mode, stop: &AtomicBool) -> Result<Session, Failure> {
    let process = Process::open(pid).map_err(|error| process_failure(&error))?;
    check_permission(pid)?;
    wait_for_interpreter(&process, mode, stop).map_err(|error| open_failure(&process, &error))
}

/// Opens a program that was just started.
///
/// # Errors
/// As [`attach`], and when it ended before Python had started in it.
pub fn launched(pid: Pid, mode: Mode, stop: &AtomicBool) -> Result<Session, Failure> {
    let since = Instant::now();
    loop {
        // A program is another before and after its exec; scripts and `env` exec again.
        let process = Process::open(pid).map_err(|error| process_failure(&error))?;
        match Session::new(process.clone(), mode) {
            Ok(session) => return Ok(session),
            Err(error) if since.elapsed() > START_LIMIT || stop.load(Ordering::Relaxed) => {
                check_permission(pid)?;
                return Err(open_failure(&process, &error));
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Waits until the interpreter of a process can be read.
///
/// # Errors
/// Why it still cannot be.
pub fn wait_for_interpreter(process: &Process, mode: Mode, stop: &AtomicBool) -> Result<Session, OpenError> {
    let since = Instant::now();
    loop {
        match Session::new(process.clone(), mode) {
            Err(OpenError::Interpreter(error))
                if may_pass(&error)
                    && since.elapsed() < START_LIMIT
                    && !stop.load(Ordering::Relaxed)
                    && process.is_alive() =>
            {
                std::thread::sleep(LOOK_EVERY);
            }
            result => return result,
        }
    }
}

/// Whether an error can be that of an interpreter which is just starting, or of threads that come and go.
fn may_pass(error: &RuntimeError) -> bool {
    matches!(error, RuntimeError::NotInitialised(_) | RuntimeError::Unreadable(_) | RuntimeError::BadOffsets { .. })
}

/// Tries the one thing that needs permission, for as short as a sample: the kernel's answer is the only sure one.
fn check_permission(pid: Pid) -> Result<(), Failure> {
    match Stop::new(Tid(pid.0), Wait::Sleep) {
        Ok(_) | Err(StopError::Gone | StopError::Exited(_)) => Ok(()),
        Err(StopError::Denied) => Err(denied(pid)),
        Err(StopError::System(errno)) => Err(Failure::new(format_args!("process {pid} cannot be traced: {errno}"))
            .with_hint("A kernel or sandbox without ptrace (gVisor, a seccomp profile) cannot be profiled into.")),
    }
}

fn denied(pid: Pid) -> Failure {
    let obstacle = diagnose(pid);
    let what = match obstacle {
        Obstacle::TracedBy { .. } => format!("process {pid} cannot be recorded: {obstacle}"),
        _ => format!("no permission to read process {pid}: {obstacle}"),
    };
    Failure::new(what).with_hint(obstacle.remedy())
}

fn process_failure(error: &ProcessError) -> Failure {
    let failure = Failure::new(error);
    match error {
        ProcessError::NotFound(_) => failure.with_hint(
            "`pgrep -af python` lists the Python processes; in a container, use the pid that fpprof's own pid namespace shows.",
        ),
        ProcessError::IsThread { process, .. } => failure.with_hint(format!("Record the process: `--pid {process}`.")),
        ProcessError::Zombie(_) | ProcessError::KernelThread(_) => {
            failure.with_hint("It runs no code that could be recorded: choose a process that is alive.")
        }
        ProcessError::ForeignArchitecture { .. } => {
            failure.with_hint("fpprof records 64-bit programs of the machine that it runs on.")
        }
        ProcessError::Denied { pid, .. } => denied(*pid),
    }
}

fn open_failure(process: &Process, error: &OpenError) -> Failure {
    let program = process.executable.display();
    let pid = process.pid;
    match error {
        OpenError::Denied(_) => denied(pid),
        OpenError::Interpreter(error) => {
            let failure = Failure::new(format_args!("process {pid} ({program}): {error}"));
            match error {
                RuntimeError::NotPython => failure.with_hint(
                    "fpprof records CPython 3.11 and later. If a wrapper has started Python, give the pid of Python itself \
                     (`pgrep -P` lists a process's children).",
                ),
                RuntimeError::PyPy => failure.with_hint("fpprof records CPython only; PyPy has a profiler of its own, vmprof."),
                RuntimeError::TooOld(_) => failure.with_hint("Run the program with CPython 3.11 or later."),
                RuntimeError::NotInitialised(_) => failure.with_hint(
                    "Wait until the program has started Python, or let fpprof start it: `fpprof record -- python3 …`.",
                ),
                RuntimeError::Unreadable(_) | RuntimeError::BadOffsets { .. } => failure.with_hint(
                    "Is it a debug build, or a build of a version that is not released? Please report it with `python -VV`.",
                ),
            }
        }
    }
}
