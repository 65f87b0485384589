//! What reading one thread gives: a moment of it, or why there is none.
//!
//! Does: hold it. Does not: read a thread.

use std::sync::Arc;

use crate::capture::blocked::BlockedError;
use crate::capture::captured::Captured;
use crate::capture::running::RunningError;
use crate::merge::MergedStack;
use crate::python::locals::Local;
use crate::stack::frame::SampleFrame;
use crate::types::Addr;

/// What reading a thread has found: one moment of it.
///
/// Its buffers are large: [`Reader::reuse`](super::reader::Reader::reuse) takes them back.
#[derive(Debug)]
pub struct Reading {
    /// What was copied of it, and what that cost.
    pub captured: Captured,
    /// Its frames, innermost first, by the addresses of that moment.
    pub merged: MergedStack,
    /// The same frames in words that mean the same at any time: one for each.
    pub frames: Arc<[SampleFrame]>,
    /// The end of the stack, if the walk came to the thread's entry: the words of its return address included.
    pub stack_end: Option<Addr>,
    /// The variables of each Python frame, innermost first; none where they are not read ([`Reader::read_locals`](super::reader::Reader::read_locals)).
    pub locals: Vec<Vec<Local>>,
    /// How many system calls read the target's memory for it: while the thread stood still, if it was stopped, and once
    /// before, to warm the caches, if the thread had been stopped before.
    pub capture_calls: u64,
}

/// Why a thread was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFailure {
    /// It could not be read while it ran.
    #[error(transparent)]
    Running(RunningError),
    /// It could not be read without being stopped.
    #[error(transparent)]
    Blocked(BlockedError),
    /// A code object on its stack was replaced meanwhile.
    #[error("a code object on its stack was replaced")]
    CodeReplaced,
    /// A module on its stack was unloaded, and another mapped in its place, since the mappings had been read.
    #[error("a library on its stack was replaced")]
    ModuleReplaced,
}
