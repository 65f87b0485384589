//! Getting hold of what a command line names: a process, or a program to start.
//!
//! Does: it once for all commands, and words what goes wrong. Does not: wait or look itself (`sampler::open`).

use std::ffi::OsString;
use std::sync::atomic::AtomicBool;

use super::failure::Failure;
use super::messages::say;
use super::refusal;
use crate::sampler::mode::Mode;
use crate::sampler::open;
use crate::sampler::session::Session;
use crate::target::launch::{Launched, ProgramOutput};
use crate::types::Pid;

/// A target that is open.
#[derive(Debug)]
pub struct Opened {
    /// What samples it.
    pub session: Session,
    /// The program, if we have started it.
    pub launched: Option<Launched>,
}

/// Opens a process, or starts a program and opens it once Python has started in it.
///
/// # Errors
/// Why it cannot be read or started, and what to do.
pub fn open(
    pid: Option<i32>,
    (program, output): (&[OsString], ProgramOutput),
    mode: Mode,
    stop: &AtomicBool,
) -> Result<Opened, Failure> {
    if let Some(pid) = pid {
        return Ok(Opened { session: attach(Pid(pid), mode, stop)?, launched: None });
    }
    if program.is_empty() {
        return Err(Failure::new("there is no target")
            .with_hint("Name a process, `--pid PID`, or a program to start, `-- python3 app.py`."));
    }
    let mut launched = Launched::start(program, output).map_err(|error| refusal::launch(&error))?;
    // Only now, for a program that we start inherits the limit.
    open::raise_open_files_limit();
    let opened = open::launched(&mut launched, mode, stop);
    let session = opened.map_err(|error| refusal::launched(&error, &program_name(program)))?;
    Ok(Opened { session, launched: Some(launched) })
}

/// Opens a process.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub fn attach(pid: Pid, mode: Mode, stop: &AtomicBool) -> Result<Session, Failure> {
    open::raise_open_files_limit();
    let session = open::attach(pid, mode, stop).map_err(|error| refusal::attach(&error))?;
    if let Some(why) = session.reader.root().refusal() {
        say(format_args!(
            "fpprof: warning: the root directory of process {pid} cannot be followed ({why}): its sources, perf map and debug files are not read, \
             and its libraries only where /proc/{pid}/map_files or its memory has them"
        ));
    }
    Ok(session)
}

/// What a program to start is called.
pub fn program_name(program: &[OsString]) -> String {
    program.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
