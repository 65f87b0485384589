//! What reading a process has cost it: the stops of its running threads.
//!
//! Does: count them. Does not: stop a thread.

use super::durations::DurationHistogram;
use crate::capture::captured::Captured;
use crate::types::Nanos;

/// The stops of running threads.
#[derive(Debug, Clone, Default)]
pub struct Stops {
    /// How long threads stood still at most, one value a stop.
    pub durations: DurationHistogram,
    /// How long they took to come to their stops, waits for a CPU included.
    pub arrivals: DurationHistogram,
    /// The sum of those.
    pub total: Nanos,
    /// System calls that may have ended early because their thread was stopped just as it entered them.
    pub disturbed_calls: u64,
    /// Stops of threads that were blocked, of which nothing else told where they were.
    pub of_sleepers: u64,
}

impl Stops {
    /// Counts the stop of a capture, if it has taken one.
    pub fn count(&mut self, captured: &Captured) {
        if let Some(stood_still) = captured.stood_still {
            self.durations.record(stood_still);
            if let Some(came_after) = captured.came_after {
                self.arrivals.record(came_after);
            }
            self.total.0 = self.total.0.saturating_add(stood_still.0);
            self.disturbed_calls += u64::from(captured.disturbed);
            self.of_sleepers += u64::from(captured.asleep.is_some());
        }
    }

    /// Adds the stops of another part of a recording.
    pub fn add(&mut self, other: &Stops) {
        self.durations.add(&other.durations);
        self.arrivals.add(&other.arrivals);
        self.total.0 = self.total.0.saturating_add(other.total.0);
        self.disturbed_calls += other.disturbed_calls;
        self.of_sleepers += other.of_sleepers;
    }
}
