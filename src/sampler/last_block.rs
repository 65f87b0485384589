//! Where a thread was blocked when it was last seen so, and what proves that it still is.
//!
//! Does: remember. Does not: look at a thread that is not asked for, or decide what a stack means.

use std::sync::Arc;

use super::run_state::RunState;
use super::transfers;
use crate::stack::frame::SampleFrame;
use crate::target::threads::{Activity, RunCount, SystemCall, Thread};

/// The last time that one thread was seen blocked.
#[derive(Debug, Default)]
pub struct LastBlock {
    /// The system call in which it was.
    pub call: Option<SystemCall>,
    /// The large transfer in which it was, unless it has been seen elsewhere since.
    pub transfer: Option<Activity>,
    /// Its run count then: as long as that stays, it has not run.
    at: Option<RunCount>,
    /// The stack that it had then, and what it waited for.
    stack: Option<(Arc<[SampleFrame]>, RunState)>,
}

impl LastBlock {
    /// Whether the thread is still blocked where it was seen: it has not run since.
    pub fn still_holds(&self, thread: &Thread) -> bool {
        self.at.is_some() && thread.run_count() == self.at
    }

    /// The stack that it was seen with, and what it waited for; `None` where it was passed over.
    pub fn stack(&self) -> Option<(Arc<[SampleFrame]>, RunState)> {
        let (frames, run_state) = self.stack.as_ref()?;
        Some((Arc::clone(frames), run_state.clone()))
    }

    /// Forgets the moment: the thread has run since.
    pub fn is_over(&mut self) {
        (self.at, self.stack) = (None, None);
    }

    /// Takes note of the stack of a thread whose run count was `at` before and after it was read.
    pub fn was_read(&mut self, at: RunCount, frames: &Arc<[SampleFrame]>, run_state: RunState) {
        (self.at, self.stack) = (Some(at), Some((Arc::clone(frames), run_state)));
    }

    /// Takes note of a blocked thread that is not to be read: what proves that it has not run since. Returns whether it was
    /// blocked.
    pub fn was_passed_over(&mut self, thread: &mut Thread) -> bool {
        let before = thread.run_count();
        let Ok(activity @ Activity::Blocked { .. }) = thread.activity() else { return false };
        self.transfer = transfers::of(activity);
        self.at = before;
        true
    }
}
