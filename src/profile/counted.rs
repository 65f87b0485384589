//! What a recording counts: an element of a stack, before it has a name.
//!
//! Does: tell a thread, a frame and a run state apart. Does not: name them; `symbolize` does.

use crate::sampler::run_state::RunState;
use crate::stack::frame::SampleFrame;
use crate::types::Tid;

/// An element of a counted stack: a thread's root, a frame, or what the thread did.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Counted {
    /// The thread that the frames belong to.
    Thread(Tid),
    /// One frame.
    Frame(SampleFrame),
    /// What the thread did, inside all its frames.
    RunState(RunState),
}
