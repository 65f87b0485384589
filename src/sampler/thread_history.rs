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
    /// Why it has no stack of the last tick that wanted one.
    pub failure: Option<SampleFailure>,
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
