//! Ctrl-Z, and the terminal's other ways of stopping a process (SIGTSTP, SIGTTIN, SIGTTOU).
//!
//! Does: have them stop fpprof at once, as they do every program, and while it records have them ask the recording to let go of its
//! target first. Does not: stop anything itself while it records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGTSTP, SIGTTIN, SIGTTOU};
use signal_hook::flag;

use super::no_signals;
use crate::cli::failure::Failure;

/// What these signals do.
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

    /// They only ask `recording` to, through what it is given.
    pub fn while_recording<T>(&self, recording: impl FnOnce(&AtomicBool) -> T) -> T {
        self.wanted.store(false, Ordering::Relaxed);
        self.at_once.store(false, Ordering::Relaxed);
        let recorded = recording(&self.wanted);
        self.at_once.store(true, Ordering::Relaxed);
        recorded
    }
}
