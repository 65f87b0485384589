//! The live line: how far a recording is.
//!
//! Does: rewrite one line of a terminal a few times a second, or tell the numbers to who shows them in another way.
//! Does not: write anything where there is no terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::record::recorder::{Counts, Observer};

/// A line that changes faster cannot be read.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// The live line on standard error.
#[derive(Debug)]
pub struct Progress {
    enabled: bool,
    counts: Option<Arc<Mutex<Counts>>>,
    total: Option<Duration>,
    shown_at: Option<Instant>,
}

impl Progress {
    /// A live line if it is wanted and standard error is a terminal. `total`: how long the recording will take, if that
    /// is known.
    pub fn new(wanted: bool, total: Option<Duration>) -> Progress {
        Progress { enabled: wanted && io::stderr().is_terminal(), counts: None, total, shown_at: None }
    }

    /// No line: the numbers are for somebody else to show.
    pub fn counted(counts: Arc<Mutex<Counts>>) -> Progress {
        Progress { enabled: false, counts: Some(counts), total: None, shown_at: None }
    }

    /// Removes the line.
    pub fn finish(&mut self) {
        if self.shown_at.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Observer for Progress {
    fn progress(&mut self, now: Counts) {
        if let Some(counts) = &self.counts {
            *counts.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
        if !self.enabled || self.shown_at.is_some_and(|at| at.elapsed() < SHOW_EVERY) {
            return;
        }
        self.shown_at = Some(Instant::now());
        // A terminal that is gone is no reason to lose the recording.
        let _ = write!(io::stderr(), "\r{}\x1b[K", line(now, self.total));
    }
}

fn line(now: Counts, total: Option<Duration>) -> String {
    let Counts { elapsed, taken: samples, errors, .. } = now;
    let seconds = elapsed.as_secs_f64();
    let of = total.map_or(String::new(), |total| format!(" of {} s", total.as_secs_f64()));
    let rate = samples as f64 / seconds.max(0.001);
    let errors = match errors {
        0 => String::new(),
        1 => ", 1 error".to_owned(),
        n => format!(", {n} errors"),
    };
    let end = if total.is_none() { " (Ctrl-C to finish)" } else { "" };
    format!("recording {seconds:.1} s{of}: {samples} samples, {rate:.1}/s{errors}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_and_how_well() {
        let counts = Counts { elapsed: Duration::from_millis(2500), taken: 250, late: 0, left_out: 0, errors: 0 };
        let line = |total, errors| line(Counts { errors, ..counts }, total);
        assert_eq!(line(Some(Duration::from_secs(10)), 0), "recording 2.5 s of 10 s: 250 samples, 100.0/s");
        assert_eq!(line(None, 2), "recording 2.5 s: 250 samples, 100.0/s, 2 errors (Ctrl-C to finish)");
    }
}
