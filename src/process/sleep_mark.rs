//! What shows that a thread which was stopped in its sleep has gone back to the same sleep.
//!
//! Does: remember the innermost part of its stack and the heads of its innermost Python frames, as a hash, and look whether they
//! are still so. A thread that has run code since has pushed other return addresses, or has another instruction in a frame: where
//! nothing of that has changed, it stands where it stood, and need not be stopped again.
//! Does not: look whether the thread sleeps, or has run meanwhile; its caller does.

use std::hash::{DefaultHasher, Hasher};

use super::reading::Reading;
use crate::capture::native;
use crate::capture::range::Range;
use crate::target::memory::Memory;
use crate::types::Addr;

/// So many bytes of the stack are looked at: what is further out cannot change while these stay.
const STACK_BYTES: u64 = 32 << 10;
/// So many Python frames, for the same reason.
const FRAMES: usize = 32;
/// What a frame begins with: its code, the frame that called it, its instruction. The heads of all known versions are longer.
const FRAME_HEAD: usize = 64;

/// See the file.
#[derive(Debug)]
pub struct SleepMark {
    ranges: Vec<Range>,
    hash: u64,
}

impl SleepMark {
    /// The mark of a thread that was read; `None` of one that was not stopped in its sleep, or of which too little was copied.
    pub fn of(reading: &Reading) -> Option<SleepMark> {
        let captured = &reading.captured;
        captured.asleep?;
        let sp = Addr(captured.registers.get(native::SP)?);
        let end = sp.0.saturating_add(STACK_BYTES).min(reading.stack_end.map_or(u64::MAX, |end| end.0));
        let copied = captured.stack.start.0.saturating_add(captured.stack.bytes.len() as u64);
        let stack = Range { start: sp, len: end.min(copied).checked_sub(sp.0)? as usize };
        let frames = reading.merged.python_frames().take(FRAMES);
        let heads = frames.map(|frame| Range { start: frame.frame, len: FRAME_HEAD });
        let ranges: Vec<Range> = std::iter::once(stack).chain(heads).collect();
        let hash = hash(&ranges, captured)?;
        Some(SleepMark { ranges, hash })
    }

    /// Whether all is as it was.
    pub fn holds(&self, memory: &(impl Memory + ?Sized)) -> bool {
        hash(&self.ranges, memory) == Some(self.hash)
    }
}

/// The hash of what is in `ranges`; `None` when a part of it cannot be read.
fn hash(ranges: &[Range], memory: &(impl Memory + ?Sized)) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut bytes = Vec::new();
    for range in ranges {
        bytes.resize(range.len, 0);
        memory.read(range.start, &mut bytes).ok()?;
        hasher.write(&bytes);
    }
    Some(hasher.finish())
}
