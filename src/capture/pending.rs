//! Stops that were asked for and have not come yet.
//!
//! Does: keep them, see which have come, sleep until one does. Does not: read a thread that has stopped.

use std::time::{Duration, Instant};

use super::placement::Turn;
use super::ptrace::{Asked, StopError, sleep_until_a_stop};
use super::watchdog;
use crate::target::status::TaskState;
use crate::target::threads::Schedule;
use crate::types::Tid;

/// A stop that was asked for.
#[derive(Debug)]
pub struct Pending {
    /// The thread.
    pub tid: Tid,
    /// What was asked.
    pub asked: Asked,
    /// When.
    pub at: Instant,
    /// The scheduler's account of the thread then.
    pub before: Option<Schedule>,
    /// The turn of the calling thread then.
    pub turn: Turn,
    /// The kernel's word on the thread then, if it was blocked.
    pub asleep: Option<TaskState>,
    /// Whether it was left pending: it did not come while it was waited for.
    pub is_late: bool,
    /// When it was seen to have come, if that was after a sleep.
    pub seen: Option<Seen>,
}

/// When a stop was seen after a sleep.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The moment.
    pub at: Instant,
    /// How long the calling thread had waited for its CPU by then: the stop may have come so much earlier.
    pub late_by: Duration,
}

/// The stops that have not been served.
#[derive(Debug, Default)]
pub struct PendingStops(Vec<Pending>);

impl PendingStops {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a thread's is among them.
    pub fn holds(&self, tid: Tid) -> bool {
        self.0.iter().any(|pending| pending.tid == tid)
    }

    /// Whether a thread's is among them and has come.
    pub fn has_come(&mut self, tid: Tid) -> bool {
        self.0.iter_mut().any(|pending| pending.tid == tid && pending.asked.has_come())
    }

    /// The threads whose stops have come.
    pub fn come(&mut self) -> Vec<Tid> {
        self.0.iter_mut().filter_map(|pending| pending.asked.has_come().then_some(pending.tid)).collect()
    }

    /// The threads whose stops they are.
    pub fn tids(&self) -> Vec<Tid> {
        self.0.iter().map(|pending| pending.tid).collect()
    }

    /// Gives up a thread that nobody wants any more: it is let go. Returns its wait status if it has ended.
    pub fn give_up(&mut self, tid: Tid) -> Option<i32> {
        match self.take(tid)?.asked.into_stop() {
            Err(StopError::Exited(status)) => Some(status),
            _ => None,
        }
    }

    /// Sleeps until one comes, a signal arrives or the time is over; see [`sleep_until_a_stop`].
    pub fn sleep(&mut self, limit: Duration) {
        sleep_until_any_comes(&mut [self], limit);
    }

    fn has_any_come(&mut self) -> bool {
        self.0.iter_mut().any(|pending| pending.asked.has_come())
    }

    /// Takes note of those that have come during a sleep, after which the calling thread has waited so long for its CPU.
    pub(super) fn look(&mut self, late_by: Duration) {
        for pending in self.0.iter_mut().filter(|pending| pending.seen.is_none()) {
            if pending.asked.has_come() {
                pending.seen = Some(Seen { at: Instant::now(), late_by });
            }
        }
    }

    pub(super) fn keep(&mut self, pending: Pending) {
        self.0.push(Pending { is_late: true, ..pending });
    }

    pub(super) fn take(&mut self, tid: Tid) -> Option<Pending> {
        let index = self.0.iter().position(|pending| pending.tid == tid)?;
        Some(self.0.swap_remove(index))
    }
}

/// Sleeps until a stop of any process comes, a signal arrives or the time is over; see [`sleep_until_a_stop`].
pub fn sleep_until_any_comes(stops: &mut [&mut PendingStops], limit: Duration) {
    watchdog::put_off();
    sleep_until_a_stop(limit, || stops.iter_mut().any(|stops| stops.has_any_come()));
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;
    use crate::target::launch::{Launched, ProgramOutput};
    use crate::target::process::read_status;

    #[test]
    fn a_stop_is_left_to_the_tracer() {
        let mut launched = Launched::start(&["sleep".into(), "1000".into()], ProgramOutput::Inherited).unwrap();
        let tid = Tid(launched.pid().0);
        let mut asked = Asked::new(launched.pid(), tid).unwrap();
        while read_status(launched.pid()).is_none_or(|status| status.state != TaskState::Stopped) {
            assert_eq!(launched.status(), None);
        }
        assert_eq!(launched.status(), None);
        assert!(asked.has_come());
        drop(asked);
        assert!(launched.end(&[Signal::SIGKILL], Duration::from_secs(60)).is_some());
    }
}
