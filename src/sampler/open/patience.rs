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
pub(super) struct Patience {
    since: Instant,
    limit: Duration,
    pause: Duration,
    hindered: Hindered,
}

/// The time in which a process waited for a CPU, as far as that is known.
#[derive(Debug)]
struct Hindered {
    pid: Pid,
    thread: Option<(Thread, Schedule)>,
    time: Duration,
}

impl Patience {
    /// Waits for `limit` and no longer, whatever a process does.
    pub(super) fn of_clock(limit: Duration) -> Patience {
        Patience::of(Pid(0), limit)
    }

    /// Waits until a process has had `limit` for what it does, by its first thread: who starts a program has no other.
    pub(super) fn of(pid: Pid, limit: Duration) -> Patience {
        let hindered = Hindered { pid, thread: None, time: Duration::ZERO };
        Patience { since: Instant::now(), limit, pause: LOOK_EVERY, hindered }
    }

    /// Waits for the time of the next look; returns false at once when the limit is reached.
    pub(super) fn wait(&mut self) -> bool {
        if self.has_lasted(self.limit) {
            return false;
        }
        self.hindered.begin();
        let paused = Instant::now();
        std::thread::sleep(self.pause);
        self.hindered.end(paused.elapsed());
        self.pause = (self.pause * 5 / 4).min(LOOK_AT_LEAST_EVERY);
        true
    }

    /// Whether the process has had that much time.
    pub(super) fn has_lasted(&self, limit: Duration) -> bool {
        self.since.elapsed().saturating_sub(self.hindered.time.min(AT_MOST_HINDERED)) >= limit
    }
}

impl Hindered {
    fn begin(&mut self) {
        // A thread that replaces the program has another number from then on, and each look can be of another.
        self.thread = (self.pid != Pid(0))
            .then(|| Thread::open(self.pid, Tid(self.pid.0)).ok())
            .flatten()
            .and_then(|thread| Some((thread.schedule()?, thread)))
            .map(|(schedule, thread)| (thread, schedule));
    }

    fn end(&mut self, pause: Duration) {
        let Some((mut thread, before)) = self.thread.take() else { return };
        let Some(now) = thread.schedule() else { return };
        self.time += waited(before, now, thread.task_state(), pause);
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
        let mut patience = Patience::of_clock(Duration::from_millis(5));
        let since = Instant::now();
        while patience.wait() {}
        assert!(patience.has_lasted(Duration::from_millis(5)) && since.elapsed() >= Duration::from_millis(5));
    }
}
