//! A sample: the merged stack of one thread, in frames that mean the same at any time.
//!
//! Does: define what the sampler gives. Does not: name native functions; that is `symbolize`'s work, later.

use std::sync::Arc;

use super::run_state::RunState;
use crate::stack::frame::SampleFrame;
use crate::types::Tid;

/// The stack of one thread at one tick, and at ticks that have passed it over since its last look.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The thread.
    pub tid: Tid,
    /// Its frames, innermost first; shared with the samples before when the thread has not run since.
    pub frames: Arc<[SampleFrame]>,
    /// What the thread did.
    pub run_state: RunState,
    /// The ticks of the clock that it stands for.
    pub weight: u64,
}

impl Sample {
    /// Whether no frame is missing.
    pub fn is_complete(&self) -> bool {
        !self.frames.iter().any(|frame| matches!(frame, SampleFrame::Missing(_)))
    }
}
