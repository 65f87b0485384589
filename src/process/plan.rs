//! What a sample of one thread has to copy: its stack, its thread states, its interpreter frames, the code objects
//! that have not been met before, and the values of variables where these are asked for.
//!
//! Does: follow the interpreter's chain of frames through the copies while the thread stands still, and ask for what
//! is missing. A copy that is complete is walked once, at a few nanoseconds a frame.
//! Does not: anything that can wait until the thread runs again.

use crate::capture::captured::{Captured, Range};
use crate::capture::read::Plan;
use crate::python::frames::FrameWalk;
use crate::python::layout::Layout;
use crate::python::locals;
use crate::python::stack::{ChainEnd, PythonEntry};
use crate::target::maps::{Backing, Mappings};
use crate::target::memory::{BulkMemory, PAGE};
use crate::types::Addr;

use super::batched_memory::BatchedMemory;
use super::new_code_objects::NewCodeObjects;
use crate::stack::code_cache::CodeCache;

/// The stack that is copied when nothing tells how large it is.
const UNKNOWN_STACK: u64 = 256 << 10;
/// Thread stacks larger than this are copied when a walk has shown that they are used.
const LARGE_STACK: u64 = 1 << 20;
/// What is read of a frame that lies elsewhere (a generator's, on the heap).
const HEAP_FRAME: u64 = 128;

/// The innermost frames whose variables are copied.
const MAX_FRAMES_WITH_VALUES: usize = 200;
/// The most rounds that values are copied in: each container is two, and what is in it has a type with a name.
const MAX_VALUE_ROUNDS: usize = 24;

/// The plan for one thread.
pub struct ThreadPlan<'a> {
    /// The interpreter's layout.
    pub layout: &'a Layout,
    /// The code objects met so far.
    pub codes: &'a CodeCache,
    /// The live memory: new code objects are copied from it while the thread cannot free them.
    pub memory: &'a dyn BulkMemory,
    /// The mappings, to find the end of a stack.
    pub mappings: &'a Mappings,
    /// Where this thread's stack has been found to end.
    pub stack_end: Option<Addr>,
    /// The thread's states; none for a thread without Python.
    pub thread_states: &'a [Addr],
    /// What the last sample of this thread needed beside its stack, its thread states among it.
    pub ranges: Vec<Range>,
    /// The lowest stack pointer that is likely, of a thread that is expected to run.
    pub likely_sp: Option<Addr>,
    /// One walk for each thread state.
    pub walks: Vec<FrameWalk<'a>>,
    /// The code objects on the stack that have not been met.
    pub new_codes: NewCodeObjects,
    /// The variables of the frames, where they are asked for.
    pub values: Option<BatchedMemory>,
}

impl Plan for ThreadPlan<'_> {
    fn begin(&mut self) {
        self.walks.clear();
        self.new_codes.clear();
        self.values.iter_mut().for_each(BatchedMemory::clear);
        self.walks.extend(self.thread_states.iter().map(|state| FrameWalk::new(self.layout, *state)));
    }

    fn stack_end(&self, sp: Addr) -> Addr {
        let mapping = self.mappings.find_stack(sp);
        // A thread can be on a stack other than its own: a coroutine library's, a signal's.
        let is_on_own_stack = |end: &Addr| *end > sp && mapping.is_none_or(|mapping| *end <= mapping.end);
        if let Some(end) = self.stack_end.filter(is_on_own_stack) {
            return end;
        }
        match mapping {
            // All of the main thread's mapping has been in use once: it is no larger than its stack was.
            Some(mapping) if mapping.backing == Backing::Stack => mapping.end,
            Some(mapping) if mapping.end.0 - sp.0 <= LARGE_STACK => mapping.end,
            _ => sp.wrapping_add(UNKNOWN_STACK),
        }
    }

    fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    fn likely_sp(&self) -> Option<Addr> {
        self.likely_sp
    }

    fn missing(&mut self, captured: &Captured, missing: &mut Vec<Range>) {
        let mut unfinished = false;
        for walk in &mut self.walks {
            let reached = walk.stack().end;
            if let ChainEnd::Unreadable(frame) = walk.run(captured) {
                let asked_before = reached == ChainEnd::Unreadable(frame) && self.ranges.iter().any(|r| r.holds(frame));
                if !asked_before {
                    missing.push(range_around(frame));
                } else if walk.leave_unlinked_eval_loop(captured) {
                    unfinished = true;
                }
            }
        }
        self.ranges.extend_from_slice(missing);
        if unfinished && missing.is_empty() {
            return self.missing(captured, missing);
        }
        if missing.is_empty() {
            self.copy_new_codes();
            self.copy_values();
        }
    }
}

impl ThreadPlan<'_> {
    /// A code object that cannot be copied now is told by the frame that lacks it.
    fn copy_new_codes(&mut self) {
        let entries = self.walks.iter().flat_map(|walk| &walk.stack().entries);
        let codes = entries.filter_map(|entry| match entry {
            PythonEntry::Frame(frame) => Some(frame.code).filter(|code| !self.codes.contains(*code)),
            PythonEntry::Marker(_) => None,
        });
        let mut codes = codes.peekable();
        if codes.peek().is_some() {
            self.new_codes.copy(self.memory, self.layout, codes);
        }
    }

    /// Values are the thread's to change as soon as it runs: they are copied now, as deep as they are shown.
    fn copy_values(&mut self) {
        let Some(values) = &mut self.values else { return };
        let entries = self.walks.iter().flat_map(|walk| &walk.stack().entries);
        let frames = entries.filter_map(|entry| match entry {
            PythonEntry::Frame(frame) => Some((frame.frame, frame.code)),
            PythonEntry::Marker(_) => None,
        });
        let mut incomplete: Vec<(Addr, Addr)> = frames.take(MAX_FRAMES_WITH_VALUES).collect();
        for _ in 0..MAX_VALUE_ROUNDS {
            let copies = &*values;
            incomplete.retain(|(frame, code)| {
                copies.has_misses(|memory| drop(locals::read(memory, self.layout, *frame, *code)))
            });
            if !values.fetch(self.memory) {
                break;
            }
        }
    }
}

/// What to read to have a frame and those that are likely to be near it: its page, and what reaches beyond.
fn range_around(frame: Addr) -> Range {
    let page_end = (frame.0 | (PAGE - 1)).saturating_add(1);
    let end = page_end.max(frame.0.saturating_add(HEAP_FRAME));
    let start = Addr(frame.0 & !(PAGE - 1));
    Range { start, len: (end - start.0) as usize }
}
