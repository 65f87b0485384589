//! What a session remembers of one thread between two ticks.
//!
//! Does: hold its parts together.
//! Does not: decide anything.

use super::idle_backoff::IdleBackoff;
use super::last_block::LastBlock;
use super::statistics::SampleFailure;
use crate::process::thread::KnownThread;
use crate::python::locals::Local;
use crate::target::threads::Thread;
use crate::types::Tid;

/// One thread of the target, over time.
#[derive(Debug)]
pub struct ThreadHistory {
    /// The thread, and what reading it has taught.
    pub known: KnownThread,
    /// Where it was last blocked.
    pub last_block: LastBlock,
    /// When it is looked at next.
    pub backoff: IdleBackoff,
    /// What its last stack told beside the frames.
    pub seen: Seen,
    /// The ticks that its pending stop is to tell of.
    pub pending: PendingTicks,
    /// Why it has no stack of the last tick that wanted one.
    pub failure: Option<SampleFailure>,
}

/// The ticks since a stop was asked for that has not come yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PendingTicks {
    /// The weight of the tick at which it was asked for.
    pub asked: u64,
    /// The weight of those since.
    pub later: u64,
}

impl PendingTicks {
    /// Takes them: there are none then.
    pub fn take(&mut self) -> PendingTicks {
        std::mem::take(self)
    }

    /// Whether there are none.
    pub fn is_none(self) -> bool {
        self.ticks() == 0
    }

    /// All of them.
    pub fn ticks(self) -> u64 {
        self.asked + self.later
    }

    /// These, and another tick.
    #[must_use]
    pub fn or_later(self, weight: u64) -> PendingTicks {
        match self.is_none() {
            true => PendingTicks { asked: weight, later: 0 },
            false => PendingTicks { later: self.later + weight, ..self },
        }
    }
}

/// What a stack tells beside its frames.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whether the thread held a GIL.
    pub holds_gil: bool,
    /// The variables of each Python frame, innermost first, where they are read:
    /// [`Reader::read_locals`](crate::process::reader::Reader::read_locals).
    pub locals: Vec<Vec<Local>>,
    /// How many system calls it has taken to copy: see [`Reading::capture_calls`](crate::process::reading::Reading::capture_calls).
    pub capture_calls: u64,
}

impl ThreadHistory {
    /// A thread of which nothing is known yet.
    pub fn new(thread: Thread) -> ThreadHistory {
        ThreadHistory {
            known: KnownThread::new(thread),
            last_block: LastBlock::default(),
            backoff: IdleBackoff::default(),
            seen: Seen::default(),
            pending: PendingTicks::default(),
            failure: None,
        }
    }

    /// Its id.
    pub fn tid(&self) -> Tid {
        self.known.thread.tid
    }

    /// Whether the thread is still blocked where it was seen last: it has not run since.
    pub fn is_unchanged(&self) -> bool {
        self.last_block.still_holds(&self.known.thread)
    }

    /// Takes note that the thread may be blocked and is not to be read.
    pub fn pass_over(&mut self) {
        if self.last_block.was_passed_over(&mut self.known.thread) {
            self.known.rests();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tick_at_which_a_stop_was_asked_for_is_told_apart_from_those_since() {
        let mut ticks = PendingTicks::default();
        assert!(ticks.is_none());
        ticks = ticks.or_later(3).or_later(2).or_later(1);
        assert_eq!((ticks.asked, ticks.later, ticks.ticks()), (3, 3, 6));
        assert_eq!(ticks.take().ticks(), 6);
        assert!(ticks.is_none());
    }
}
