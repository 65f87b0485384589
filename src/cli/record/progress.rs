//! How far a recording is, while it is made.
//!
//! Does: put it into words for a live line a few times a second, or tell the numbers to who shows them in another way.
//! Does not: write to the terminal: sampling waits for whoever is told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cli::live_line::LiveLine;
use crate::record::plan::{Counts, Observer};

/// A line that changes faster cannot be read.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Who is told how far a recording is.
#[derive(Debug)]
pub struct Progress {
    told: Told,
    total: Option<Duration>,
    told_at: Option<Instant>,
}

#[derive(Debug)]
enum Told {
    Line(LiveLine),
    Counts(Arc<Mutex<Counts>>),
}

impl Progress {
    /// A live line, if it is wanted. `total`: how long the recording will take, if that is known.
    pub fn new(wanted: bool, total: Option<Duration>) -> Progress {
        Progress { told: Told::Line(LiveLine::at_once(wanted)), total, told_at: None }
    }

    /// No line: the numbers are for somebody else to show.
    pub fn counted(counts: Arc<Mutex<Counts>>) -> Progress {
        Progress { told: Told::Counts(counts), total: None, told_at: None }
    }
}

impl Observer for Progress {
    fn progress(&mut self, now: Counts) {
        match &self.told {
            Told::Counts(counts) => *counts.lock().unwrap_or_else(PoisonError::into_inner) = now,
            Told::Line(live) if self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) => {
                self.told_at = Some(Instant::now());
                live.set(line(now, self.total));
            }
            Told::Line(_) => {}
        }
    }
}

fn line(now: Counts, total: Option<Duration>) -> String {
    let Counts { elapsed, taken: samples, errors, processes, .. } = now;
    let seconds = elapsed.as_secs_f64();
    let of = total.map_or(String::new(), |total| format!(" of {} s", total.as_secs_f64()));
    let rate = samples as f64 / seconds.max(0.001);
    let errors = match errors {
        0 => String::new(),
        1 => ", 1 error".to_owned(),
        n => format!(", {n} errors"),
    };
    let end = if total.is_none() { " (Ctrl-C to finish)" } else { "" };
    let processes = if processes > 1 { format!(", {processes} processes") } else { String::new() };
    format!("recording {seconds:.1} s{of}: {samples} samples, {rate:.1}/s{processes}{errors}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_and_how_well() {
        let counts = Counts {
            elapsed: Duration::from_millis(2500),
            taken: 250,
            late: 0,
            left_out: 0,
            errors: 0,
            sleepers_stopped: 0,
            processes: 1,
        };
        let line = |total, errors| line(Counts { errors, ..counts }, total);
        assert_eq!(line(Some(Duration::from_secs(10)), 0), "recording 2.5 s of 10 s: 250 samples, 100.0/s");
        let several = super::line(Counts { processes: 5, ..counts }, None);
        assert_eq!(several, "recording 2.5 s: 250 samples, 100.0/s, 5 processes (Ctrl-C to finish)");
        assert_eq!(line(None, 2), "recording 2.5 s: 250 samples, 100.0/s, 2 errors (Ctrl-C to finish)");
    }
}
