//! How long a process is waited for that may become Python.
//!
//! Does: wait between two looks, more and more patiently, and count the time in which the process could do something. Does not: look at it.

use std::time::{Duration, Instant};

use crate::target::status::TaskState;
use crate::target::threads::{Schedule, Thread};
use crate::types::{Pid, Tid};

/// How often to look meanwhile: the first samples of a program are as welcome as later ones.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// What has not become Python for some time is looked at less often, for a look costs CPU.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_millis(50);
/// On a full machine a process may wait for a CPU most of the time: that much of it is not counted.
const AT_MOST_HINDERED: Duration = Duration::from_secs(10);

/// The time that is left for a process.
#[derive(Debug)]
pub(super) struct StartGrace {
    since: Instant,
    limit: Duration,
    pause: Duration,
    /// Whose waits for a CPU are not counted.
    process: Option<Pid>,
    /// How long it has waited for one.
    hindered: Duration,
}

impl StartGrace {
    /// Waits for `limit` and no longer, whatever a process does.
    pub(super) fn of_clock(limit: Duration) -> StartGrace {
        StartGrace { since: Instant::now(), limit, pause: LOOK_EVERY, process: None, hindered: Duration::ZERO }
    }

    /// Waits until a process has had `limit` for what it does, by its first thread: who starts a program has no other.
    pub(super) fn of(process: Pid, limit: Duration) -> StartGrace {
        StartGrace { process: Some(process), ..StartGrace::of_clock(limit) }
    }

    /// Waits for the time of the next look; returns false at once when the limit is reached.
    pub(super) fn wait(&mut self) -> bool {
        if self.has_lasted(self.limit) {
            return false;
        }
        // A thread that replaces the program has another number from then on, and each look can be of another.
        let thread = self.process.and_then(|pid| Thread::open(pid, Tid(pid.0)).ok());
        let before = thread.as_ref().and_then(Thread::schedule);
        let paused = Instant::now();
        std::thread::sleep(self.pause);
        let pause = paused.elapsed();
        if let Some((mut thread, before)) = thread.zip(before)
            && let Some(now) = thread.schedule()
        {
            self.hindered += waited(before, now, thread.task_state(), pause);
        }
        self.pause = (self.pause * 5 / 4).min(LOOK_AT_LEAST_EVERY);
        true
    }

    /// Whether the process has had that much time.
    pub(super) fn has_lasted(&self, limit: Duration) -> bool {
        self.since.elapsed().saturating_sub(self.hindered.min(AT_MOST_HINDERED)) >= limit
    }
}

/// How much of a pause a thread waited for a CPU. The kernel counts a wait when it is over.
fn waited(before: Schedule, now: Schedule, state: Option<TaskState>, pause: Duration) -> Duration {
    match before == now && state == Some(TaskState::Running) {
        true => pause,
        false => Duration::from_nanos(now.waited.0.saturating_sub(before.waited.0)).min(pause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Nanos;

    const PAUSE: Duration = Duration::from_millis(10);

    fn schedule(on_cpu: u64, waited: u64) -> Schedule {
        Schedule { on_cpu: Nanos(on_cpu * 1_000_000), waited: Nanos(waited * 1_000_000), timeslices: 1 }
    }

    #[test]
    fn time_without_a_cpu_is_not_the_process_s() {
        let by = |now, state| waited(schedule(5, 5), now, Some(state), PAUSE);
        assert_eq!(by(schedule(5, 5), TaskState::Running), PAUSE, "it waits, and its account is as it was");
        assert_eq!(by(schedule(5, 5), TaskState::Blocked), Duration::ZERO, "it sleeps");
        assert_eq!(by(schedule(8, 12), TaskState::Running), Duration::from_millis(7));
        assert_eq!(by(schedule(8, 400), TaskState::Running), PAUSE, "most of it was before");
    }

    #[test]
    fn a_process_that_waits_for_nobody_has_its_limit() {
        let mut grace = StartGrace::of_clock(Duration::from_millis(5));
        let since = Instant::now();
        while grace.wait() {}
        assert!(grace.has_lasted(Duration::from_millis(5)) && since.elapsed() >= Duration::from_millis(5));
    }
}
