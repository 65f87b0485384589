//! Starting a program in order to watch it, and ending it.
//!
//! Does: start it with our own input and output (its output can be sent to our standard error instead), and keep its exit status however it becomes known.
//! Does not: end it unless it is told to: it is a target like any other.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::process::read_status;
use crate::types::Pid;

/// How often to look whether a program that is told to end has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where the standard output of a program goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramOutput {
    /// To our own.
    Inherited,
    /// To our standard error: our standard output is for something else.
    ToStandardError,
    /// Nowhere, with its standard error, and its standard input is empty: the terminal is for something else.
    Discarded,
}

/// A program that we started.
#[derive(Debug)]
pub struct Launched {
    child: Child,
    status: Option<ExitStatus>,
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
#[error("`{program}` cannot be started: {source}")]
pub struct LaunchError {
    /// What was to be started.
    pub program: String,
    /// What the system said.
    pub source: io::Error,
}

impl Launched {
    /// Starts `command` (the program and its arguments).
    ///
    /// # Errors
    /// When the program does not exist or cannot be executed.
    pub fn start(command: &[OsString], output: ProgramOutput) -> Result<Launched, LaunchError> {
        let name = command.first().cloned().unwrap_or_default();
        let program = name.to_string_lossy().into_owned();
        let arguments = command.get(1..).unwrap_or_default();
        let stdout = match output {
            ProgramOutput::Inherited => Ok(Stdio::inherit()),
            ProgramOutput::ToStandardError => io::stderr().as_fd().try_clone_to_owned().map(Stdio::from),
            ProgramOutput::Discarded => Ok(Stdio::null()),
        };
        let spawn = |stdout| {
            let mut command = Command::new(&name);
            if output == ProgramOutput::Discarded {
                command.stdin(Stdio::null()).stderr(Stdio::null());
            }
            command.args(arguments).stdout(stdout).spawn()
        };
        let child = stdout.and_then(spawn).map_err(|source| LaunchError { program, source })?;
        Ok(Launched { child, status: None })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid(self.child.id() as i32)
    }

    /// Its exit status, once it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        // Whoever waits for a child that it traces is told of its stops, too, asked for or not (ptrace(2)), and they are told once.
        if self.status.is_none() && read_status(self.pid()).is_none_or(|status| status.has_ended()) {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// The same, once it has ended within this time.
    pub fn status_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while self.status().is_none() && start.elapsed() < limit {
            std::thread::sleep(LOOK_EVERY);
        }
        self.status()
    }

    /// Ends it: sends it one signal after the other, each when so much time has passed since the one before. Returns the last signal that
    /// was sent and, unless it lives on, its status; `None` when it had ended before.
    pub fn end(&mut self, signals: &[Signal], grace: Duration) -> Option<(Signal, Option<ExitStatus>)> {
        let mut sent = None;
        for signal in signals {
            if self.status().is_some() {
                break;
            }
            // Its number is no other's: it has not been waited for.
            let _ = kill(nix::unistd::Pid::from_raw(self.pid().0), *signal);
            sent = Some(*signal);
            self.status_within(grace);
        }
        sent.map(|signal| (signal, self.status()))
    }

    /// Takes note of a wait status that was consumed elsewhere: a tracer that waits for a thread of its own child
    /// to stop may be told of the child's end instead.
    pub fn ended_with(&mut self, wait_status: i32) {
        self.status.get_or_insert(ExitStatus::from_raw(wait_status));
    }
}

/// The status with which a shell, and so we, report a program's end: its own, or 128 + the signal that ended it.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> u8 {
        let mut launched =
            Launched::start(&["sh".into(), "-c".into(), script.into()], ProgramOutput::Inherited).unwrap();
        loop {
            if let Some(status) = launched.status() {
                return exit_code(status);
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_is_ended_by_the_first_signal_that_it_heeds() {
        let start = |script: &str| {
            let script = format!("{script} echo; while :; do sleep 0.01; done");
            let (mut reader, writer) = io::pipe().unwrap();
            let child = Command::new("sh").args(["-c", &script]).stdout(writer).spawn().unwrap();
            // It has said that it has set its traps.
            io::Read::read_exact(&mut reader, &mut [0]).unwrap();
            Launched { child, status: None }
        };
        let long = Duration::from_secs(60);
        let ended = |script: &str, grace| start(script).end(&[Signal::SIGINT, Signal::SIGTERM], grace);
        let by = |signal: Signal| Some((signal, Some(ExitStatus::from_raw(signal as i32))));
        assert_eq!(ended("", long), by(Signal::SIGINT));
        assert_eq!(ended("trap 'exit 5' INT;", long), Some((Signal::SIGINT, Some(ExitStatus::from_raw(5 << 8)))));
        let mut stubborn = start("trap '' INT TERM;");
        assert_eq!(stubborn.end(&[Signal::SIGINT, Signal::SIGTERM], LOOK_EVERY), Some((Signal::SIGTERM, None)));
        assert_eq!(stubborn.end(&[Signal::SIGKILL], long), by(Signal::SIGKILL));
        assert_eq!(stubborn.end(&[Signal::SIGKILL], long), None);
    }

    #[test]
    fn an_exit_status_is_kept() {
        assert_eq!(run("exit 7"), 7);
        assert_eq!(run("kill -TERM $$"), 128 + 15);
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = Launched::start(&["no-such-program-here".into()], ProgramOutput::Inherited).unwrap_err();
        assert!(error.to_string().starts_with("`no-such-program-here` cannot be started"));
    }
}
