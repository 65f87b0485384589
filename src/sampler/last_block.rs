//! Where a thread was blocked when it was last seen so, and what proves that it still is.
//!
//! Does: remember. Does not: look at a thread that is not asked for, or decide what a stack means.

use std::sync::Arc;

use super::run_state::RunState;
use super::transfers;
use crate::process::sleep_mark::SleepMark;
use crate::stack::frame::SampleFrame;
use crate::target::memory::BulkMemory;
use crate::target::threads::{Activity, RunCount, SystemCall, Thread};

/// What a thread was doing that was stopped in its sleep.
#[derive(Debug)]
struct Sleep {
    mark: SleepMark,
    frames: Arc<[SampleFrame]>,
    run_state: RunState,
}

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
    /// The sleep in which it was stopped last, until it is known whether it has gone back to it.
    sleep: Option<Sleep>,
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

    /// Takes note of the stack of a thread that was stopped in its sleep, and what shows that it has gone back to it.
    pub fn was_woken(&mut self, mark: SleepMark, frames: &Arc<[SampleFrame]>, run_state: RunState) {
        self.sleep = Some(Sleep { mark, frames: Arc::clone(frames), run_state });
    }

    /// Whether the thread has gone back to the sleep in which it was stopped: then it is seen blocked there again.
    pub fn sleeps_on(&mut self, thread: &mut Thread, memory: &dyn BulkMemory) -> bool {
        let Some(Sleep { mark, frames, run_state }) = self.sleep.take() else { return false };
        let Some(before) = thread.run_count() else { return false };
        let sleeps_on = matches!(thread.activity(), Ok(Activity::Asleep))
            && !thread.is_in_tracing_stop()
            && mark.holds(memory)
            && thread.run_count() == Some(before);
        if sleeps_on {
            self.was_read(before, &frames, run_state);
        }
        sleeps_on
    }

    /// Takes note of a blocked thread that is not to be read: what proves that it has not run since. Returns whether it was
    /// blocked.
    pub fn was_passed_over(&mut self, thread: &mut Thread) -> bool {
        let before = thread.run_count();
        let Ok(activity @ (Activity::Blocked { .. } | Activity::Asleep)) = thread.activity() else { return false };
        self.transfer = transfers::of(activity);
        self.at = before;
        true
    }
}
