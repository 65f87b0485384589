//! Getting hold of the target: attach to a process or start a program, and wait until there is Python in it.
//!
//! Does: be patient with what is just starting, and with nothing else. Does not: sample, or tell users what to do.

mod start_grace;

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::start_grace::StartGrace;
use super::mode::Mode;
use super::session::Session;
use crate::capture::ptrace::{StopError, ask_of_a_child, let_go_of_late_ones, may_trace};
use crate::process::find::OpenError;
use crate::python::runtime::RuntimeError;
use crate::target::access::diagnose;
use crate::target::launch::Launched;
use crate::target::living::LivingThread;
use crate::target::obstacle::{Obstacle, Unexplained};
use crate::target::process::{Process, ProcessError, read_status};
use crate::types::{Pid, Tid};

/// How long a running process may need to finish what it has begun: its start, or the end of a thread.
const ATTACH_LIMIT: Duration = Duration::from_secs(2);
/// How long a process that has run for longer than that may take to show that it is Python: it can have replaced its
/// program a moment ago, and the loader needs some milliseconds for its libraries.
const LOADER_LIMIT: Duration = Duration::from_millis(300);
/// How long a program may take to become Python: shell wrappers and slow disks included.
const START_LIMIT: Duration = Duration::from_secs(10);
/// The same for a program that another one has replaced itself by.
const REPLACED_LIMIT: Duration = Duration::from_secs(2);
/// How long another tracer may hold a process: a debugger holds it for longer.
const TRACER_LIMIT: Duration = Duration::from_millis(500);

/// Why a target could not be got hold of.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The process is not there, or is none that can be read.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It may not be traced, because of that.
    #[error("process {0} may not be traced: {1}")]
    Denied(Pid, Obstacle),
    /// The system cannot trace.
    #[error("process {0} cannot be traced: {1}")]
    NoTracing(Pid, Errno),
    /// There is no interpreter in it that can be read.
    #[error("process {} cannot be read: {error}", process.identity.pid)]
    Unreadable {
        /// The process.
        process: Box<Process>,
        /// Why.
        error: OpenError,
    },
    /// A program that was started ended before Python had started in it.
    #[error("the program ended before Python was seen in it")]
    EndedTooEarly(ExitStatus),
    /// `stop` became true first.
    #[error("interrupted before Python was seen in process {0}")]
    Interrupted(Pid),
}

impl AttachError {
    fn unreadable(process: &Process, error: OpenError) -> AttachError {
        AttachError::Unreadable { process: Box::new(process.clone()), error }
    }
}

/// Attaches to a running process.
///
/// # Errors
/// See [`AttachError`].
pub fn attach(pid: Pid, mode: Mode, stop: &AtomicBool) -> Result<Session, AttachError> {
    let mut process = Process::open(pid)?;
    check_permission(pid)?;
    let mut grace = StartGrace::of(pid, ATTACH_LIMIT);
    loop {
        let error = match Session::live(process.clone(), mode) {
            Ok(session) if is_whole(&session) => return Ok(session),
            Ok(_) => OpenError::Interpreter(RuntimeError::NotPython),
            Err(_) if stop.load(Ordering::Relaxed) => return Err(AttachError::Interrupted(pid)),
            Err(error) => error,
        };
        if let Some(replaced) = process.replaced() {
            process = replaced?;
        } else if !process.is_alive() {
            // That explains every error before. Its number may be another's by now.
            return Err(Process::open(pid).err().unwrap_or(ProcessError::NotFound(pid)).into());
        } else if grace.has_lasted(limit_of(&error, &process)) {
            return Err(AttachError::unreadable(&process, error));
        }
        // A process that replaces its program again and again is not waited for without end.
        if !grace.wait() {
            return Err(AttachError::unreadable(&process, error));
        }
    }
}

/// Whether all that a session knows of its process is of one program: one that was replaced while it was opened has another root, and
/// another user, than what was found in it; and the id of one that has ended can have been another's.
pub fn is_whole(session: &Session) -> bool {
    !session.target().is_replaced() && session.target().is_alive()
}

/// Each thread of the target has two files open while it is watched, and the soft limit is 1,024 in most places.
pub fn raise_open_files_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // With the old limit fewer threads can be watched, and each that cannot is counted as an error.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// For how long an error can be that of an interpreter which is just starting, or of threads that come and go.
fn limit_of(error: &OpenError, process: &Process) -> Duration {
    match error {
        OpenError::Interpreter(
            RuntimeError::NotInitialised(_) | RuntimeError::Unreadable(_) | RuntimeError::BadOffsets { .. },
        ) => ATTACH_LIMIT,
        // A shell, a launcher, or a program whose libraries are not mapped yet.
        OpenError::Interpreter(RuntimeError::NotPython) if process.age().is_none_or(|age| age < ATTACH_LIMIT) => {
            ATTACH_LIMIT
        }
        OpenError::Interpreter(RuntimeError::NotPython) => LOADER_LIMIT,
        OpenError::Interpreter(RuntimeError::TooOld(_) | RuntimeError::PyPy) | OpenError::Denied(_) => Duration::ZERO,
    }
}

/// Opens a program that was just started, or one that it starts: `other` is asked for that again and again. It is opened itself only if
/// there is a `mode` for that.
///
/// # Errors
/// As [`attach`], and when it ended before Python had started in it.
pub fn launched(
    launched: &mut Launched,
    mode: Option<Mode>,
    stop: &AtomicBool,
    other: &mut dyn FnMut() -> Option<Session>,
) -> Result<Session, AttachError> {
    let pid = launched.pid();
    let mut grace = StartGrace::of(pid, START_LIMIT);
    loop {
        // A program is another before and after its exec; scripts and `env` exec again.
        let process = Process::open(pid);
        // The status is looked at last: what has ended by now explains every error before.
        let open = |mode| process.as_ref().map(|process| Session::live(process.clone(), mode));
        let opened = mode.map(open);
        let opened = match opened {
            Some(Ok(Ok(session))) if is_whole(&session) => return Ok(session),
            Some(Ok(Ok(_))) => None,
            opened => opened,
        };
        if let Some(session) = other() {
            return Ok(session);
        }
        if let Some(status) = launched.status() {
            return Err(AttachError::EndedTooEarly(status));
        }
        if stop.load(Ordering::Relaxed) {
            return Err(AttachError::Interrupted(pid));
        }
        if !grace.wait() {
            check_permission(pid)?;
            return Err(match opened.unwrap_or_else(|| open(Mode::Cpu)) {
                Ok(Err(error)) => match process {
                    Ok(process) => AttachError::unreadable(&process, error),
                    Err(error) => error.into(),
                },
                Err(_) | Ok(Ok(_)) => {
                    process.err().map_or_else(|| AttachError::Denied(pid, diagnose(pid)), AttachError::from)
                }
            });
        }
    }
}

/// The new program of a process that has replaced its own, which `before` has sampled, once Python has started in it; `None` when it does not.
pub fn replaced(before: &Session, stop: &AtomicBool) -> Option<Session> {
    let pid = before.identity().pid;
    let mut grace = StartGrace::of(pid, REPLACED_LIMIT);
    loop {
        // The thread that was asked to stop may come to that only in the new program, and is to go on.
        let_go_of_late_ones();
        // It may replace itself again: by a shell, and that by Python.
        let process = Process::open(pid).ok()?;
        if process.identity.start_time != before.identity().start_time {
            return None;
        }
        match Session::after(before, process) {
            Ok(session) if is_whole(&session) => return Some(session),
            _ if stop.load(Ordering::Relaxed) || !grace.wait() => return None,
            _ => {}
        }
    }
}

/// Tries the one thing that needs permission: the kernel's answer is the only sure one. Another tracer may let go soon: a profiler holds
/// a thread for microseconds.
///
/// # Errors
/// Why it may not be traced.
pub fn check_permission(pid: Pid) -> Result<(), AttachError> {
    let mut grace = StartGrace::of_clock(TRACER_LIMIT);
    let mut tracer = None;
    loop {
        // A first thread that has ended cannot be traced, and the others can.
        let tid = LivingThread::of(pid).tid();
        let error = match ask_permission(tid) {
            Err(StopError::Denied) => explained(diagnose(Pid(tid.0))),
            Ok(()) | Err(StopError::Gone | StopError::Exited(_)) => return Ok(()),
            Err(StopError::System(errno)) => return Err(AttachError::NoTracing(pid, errno)),
        };
        match &error {
            Obstacle::TracedBy { .. } => tracer = Some(error.clone()),
            // It may have been traced a moment ago.
            Obstacle::Unknown(_) => {}
            _ => return Err(AttachError::Denied(pid, error)),
        }
        if !grace.wait() {
            return Err(AttachError::Denied(pid, tracer.unwrap_or(error)));
        }
    }
}

/// A refusal with what a child of our own shows of it: who may trace that is not kept from tracing by a filter of system calls.
fn explained(obstacle: Obstacle) -> Obstacle {
    match obstacle {
        Obstacle::Unknown(unexplained) if unexplained.filters_system_calls => Obstacle::Unknown(Unexplained {
            filters_system_calls: ask_of_a_child(|_| Some(())).is_none(),
            ..unexplained
        }),
        obstacle => obstacle,
    }
}

/// Asks the kernel for permission to trace a thread, and waits until that is over.
fn ask_permission(tid: Tid) -> Result<(), StopError> {
    let answer = may_trace(tid);
    // Who asked may not have let go yet, and nobody else could trace the process until then.
    let since = Instant::now();
    while since.elapsed() < ATTACH_LIMIT && is_traced_by_us(Pid(tid.0)) {
        std::thread::yield_now();
    }
    answer
}

fn is_traced_by_us(pid: Pid) -> bool {
    let tracer = read_status(pid).map_or(Pid(0), |status| status.tracer);
    tracer.0 != 0 && read_status(tracer).is_some_and(|thread| thread.thread_group.0 == std::process::id() as i32)
}
