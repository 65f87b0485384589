//! The signals that end a recording (Ctrl-C, SIGTERM) and those by which a terminal stops a process (Ctrl-Z: SIGTSTP; SIGTTIN, SIGTTOU).
//!
//! Does: have the first end it, and nothing is lost; have the second stop fpprof at once, as they do every program, and while it records have
//! them ask the recording to let go of its target first. Does not: end or stop anything itself while it records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
use signal_hook::flag;

use crate::capture::watchdog;
use crate::cli::failure::Failure;

/// Ctrl-C and SIGTERM end the recording, and nothing is lost; the second one is `patience`'s.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&stop)).map_err(|error| no_signals(&error))?;
    }
    Ok(stop)
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
