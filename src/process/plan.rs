//! What a sample of one thread has to copy: its stack, its thread states, its interpreter frames, the code objects
//! that have not been met before, and the values of variables where these are asked for.
//!
//! Does: follow the interpreter's chain of frames through the copies while the thread stands still, and ask for what
//! is missing. A copy that is complete is walked once, at a few nanoseconds a frame.
//! Does not: anything that can wait until the thread runs again.

use crate::capture::captured::Captured;
use crate::capture::range::Range;
use crate::capture::read::Plan;
use crate::python::frames::FrameWalk;
use crate::python::layout::Layout;
use crate::python::locals;
use crate::python::stack::{ChainEnd, PythonEntry};
use crate::target::maps::{Backing, Mappings};
use crate::target::memory::BulkMemory;
use crate::types::Addr;

use super::batched_memory::BatchedMemory;
use super::new_code_objects::NewCodeObjects;
use super::read_around::ReadAround;
use crate::stack::code_cache::CodeCache;

/// The stack that is copied when nothing tells how large it is.
const UNKNOWN_STACK: u64 = 256 << 10;
/// Thread stacks larger than this are copied when a walk has shown that they are used.
const LARGE_STACK: u64 = 1 << 20;
/// Functions that call each other take turns on a stack: so many code objects are told apart without a search. A power of two.
const LAST_CODES: usize = 64;

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
    /// Where the next missing frame is likely to be.
    pub around: ReadAround,
    /// The memory of an earlier walk: to ask for it anew takes as long as the walk.
    pub buffer: Vec<PythonEntry>,
    /// The code objects on the stack that have not been met.
    pub new_codes: NewCodeObjects,
    /// The variables of the frames, where they are asked for.
    pub values: Option<BatchedMemory>,
}

impl Plan for ThreadPlan<'_> {
    fn begin(&mut self) {
        if let Some(walked) = self.walks.drain(..).map(|walk| walk.into_stack().entries).max_by_key(Vec::capacity)
            && walked.capacity() > self.buffer.capacity()
        {
            self.buffer = walked;
        }
        self.around = ReadAround::default();
        self.new_codes.clear();
        self.values.iter_mut().for_each(BatchedMemory::clear);
        for state in self.thread_states {
            self.walks.push(FrameWalk::into_buffer(self.layout, *state, std::mem::take(&mut self.buffer)));
        }
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
        for walk in &mut self.walks {
            let mut reached = walk.stack().end;
            while let ChainEnd::Unreadable(frame) = walk.run(captured) {
                // What was missing before and still is cannot be read.
                if reached != ChainEnd::Unreadable(frame) {
                    self.around.frame(frame, missing);
                    break;
                }
                if !walk.leave_unlinked_eval_loop(captured) {
                    break;
                }
                reached = ChainEnd::Root;
            }
        }
        // What this attempt has found serves the next one, if the thread runs meanwhile.
        self.ranges.extend_from_slice(missing);
        if missing.is_empty() {
            self.copy_what_frames_lead_to();
        }
    }

    fn cut(&mut self) {
        self.walks.iter_mut().for_each(FrameWalk::cut);
        self.copy_what_frames_lead_to();
    }
}

impl ThreadPlan<'_> {
    fn copy_what_frames_lead_to(&mut self) {
        self.copy_new_codes();
        self.copy_values();
    }

    /// A code object that cannot be copied now is told by the frame that lacks it.
    fn copy_new_codes(&mut self) {
        let mut last = [Addr::NULL; LAST_CODES];
        let is_first = |code: &Addr| {
            // Code objects are aligned to 16 bytes.
            let place = last.get_mut((code.0 >> 4) as usize % LAST_CODES);
            place.is_none_or(|place| std::mem::replace(place, *code) != *code)
        };
        let entries = self.walks.iter().flat_map(|walk| &walk.stack().entries);
        let codes = entries.filter_map(PythonEntry::frame).map(|frame| frame.code).filter(is_first);
        let mut codes = codes.filter(|code| !self.codes.contains(*code)).peekable();
        if codes.peek().is_some() {
            self.new_codes.copy(self.memory, self.layout, codes);
        }
    }

    /// Values are the thread's to change as soon as it runs: they are copied now, as deep as they are shown.
    fn copy_values(&mut self) {
        let Some(values) = &mut self.values else { return };
        let entries = self.walks.iter().flat_map(|walk| &walk.stack().entries);
        let frames = entries.filter_map(PythonEntry::frame).map(|frame| (frame.frame, frame.code));
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
