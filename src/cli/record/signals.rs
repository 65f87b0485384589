//! The signals that end a recording (Ctrl-C, `Ctrl-\`, SIGTERM, SIGHUP) and those by which a terminal stops a process (Ctrl-Z: SIGTSTP; SIGTTIN, SIGTTOU).
//!
//! Does: have the first end it, and nothing is lost; have the second stop fpprof at once, as they do every program, and while it records have
//! them ask the recording to let go of its target first. Does not: end or stop anything itself while it records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use signal_hook::consts::{SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ};
use signal_hook::flag;

use crate::capture::watchdog;
use crate::cli::failure::Failure;
use crate::target::own;

/// What signals have said.
#[derive(Debug, Default)]
pub struct Wishes {
    /// It shall end.
    pub stop: Arc<AtomicBool>,
    /// The same, by a signal whose second one means that the output is not wanted either. SIGHUP is none: when a terminal is closed, the kernel and the shell
    /// both send it, and nobody is there who could want something.
    pub again: Arc<AtomicBool>,
}

/// Ctrl-C, `Ctrl-\`, SIGTERM and a terminal that is closed end the recording, and nothing is lost; the second one is `patience`'s. SIGHUP and SIGQUIT stay
/// ignored where they were when we were started: by nohup(1), or in the background of a script.
pub fn stop_on_signals() -> Result<Wishes, Failure> {
    let wishes = Wishes::default();
    let by_default = [Signal::SIGHUP, Signal::SIGQUIT].into_iter().filter(|signal| !own::ignores(*signal));
    for signal in [Signal::SIGINT, Signal::SIGTERM].into_iter().chain(by_default) {
        let set = |flag: &Arc<AtomicBool>| flag::register(signal as i32, Arc::clone(flag));
        set(&wishes.stop).map_err(|error| no_signals(&error))?;
        if signal != Signal::SIGHUP {
            set(&wishes.again).map_err(|error| no_signals(&error))?;
        }
    }
    Ok(wishes)
}

/// Has a limit of the length of files (`ulimit -f`) make an error of a write instead of ending this process (SIGXFSZ, setrlimit(2)). A handler, for programs that
/// we start would inherit that a signal is ignored.
///
/// # Errors
/// When signals cannot be handled.
pub fn heed_file_size_limit() -> Result<(), Failure> {
    flag::register(SIGXFSZ, Arc::default()).map(drop).map_err(|error| no_signals(&error))
}

fn no_signals(error: &io::Error) -> Failure {
    Failure::new(format_args!("signals cannot be handled: {error}"))
        .with_hint("A sandbox (a seccomp profile) forbids sigaction(2): run fpprof outside it.")
}

/// What the signals do by which a terminal stops a process.
#[derive(Debug)]
pub struct Suspension {
    at_once: Arc<AtomicBool>,
    wanted: Arc<AtomicBool>,
}

impl Suspension {
    /// They stop fpprof at once.
    ///
    /// # Errors
    /// When signals cannot be handled.
    pub fn new() -> Result<Suspension, Failure> {
        let (at_once, wanted) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGTSTP, SIGTTIN, SIGTTOU] {
            flag::register_conditional_default(signal, Arc::clone(&at_once)).map_err(|error| no_signals(&error))?;
            flag::register(signal, Arc::clone(&wanted)).map_err(|error| no_signals(&error))?;
        }
        Ok(Suspension { at_once, wanted })
    }

    /// Leaves SIGCONT to the recording: it lets go of its target, too, when SIGSTOP has stopped fpprof, which no program can put off.
    /// Is called when the program to record has been started, which would inherit this, and before any thread is.
    pub fn leave_sigcont_to_recording() {
        watchdog::block_sigcont();
    }

    /// They only ask `recording` to, through what it is given.
    pub fn while_recording<T>(&self, recording: impl FnOnce(&AtomicBool) -> T) -> T {
        self.wanted.store(false, Ordering::Relaxed);
        self.at_once.store(false, Ordering::Relaxed);
        let recorded = recording(&self.wanted);
        self.at_once.store(true, Ordering::Relaxed);
        recorded
    }
}
