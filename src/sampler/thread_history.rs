//! What is remembered of a thread from sample to sample, so that the next one costs little.
//!
//! Does: keep its open files, its thread states, where its stack ends and what its interpreter frames occupied.
//! Does not: decide anything.

use std::sync::Arc;

use super::frame::SampleFrame;
use super::module_marks::MetModules;
use super::run_state::RunState;
use super::settled::Rest;
use super::statistics::SampleFailure;
use super::transfers;
use crate::capture::captured::Range;
use crate::python::locals::Local;
use crate::python::stack::{PythonEntry, PythonStack};
use crate::target::threads::{Activity, RunCount, SystemCall, Thread};
use crate::types::Addr;

/// What is read of a thread state: all fields that the walk needs are in its first kilobyte (3.15 has 888 bytes).
const THREAD_STATE_BYTES: usize = 1024;

/// Stacks that were deeper by more bytes than this are not expected again: copying them in vain costs some 5 µs.
const FORGET_BEYOND: u64 = 64 << 10;

/// One thread of the target, over time.
#[derive(Debug)]
pub struct ThreadHistory {
    /// Its files.
    pub thread: Thread,
    /// Its id in the target's own pid namespace.
    pub namespace_id: i32,
    /// Its thread states, one for each interpreter that it has entered; empty for a thread without Python.
    pub thread_states: Vec<Addr>,
    /// Its `pthread_t`, once it has been stopped: that never changes.
    pub pthread: Option<Addr>,
    /// Which listing of thread states `thread_states` is from.
    pub listing: u64,
    /// The end of its outermost frame, once a complete walk has found it.
    pub stack_end: Option<Addr>,
    /// The lowest stack pointer that is likely in the next sample, if it ran in the last: then it is likely to run again.
    pub likely_sp: Option<Addr>,
    /// What the last sample needed beside the stack: thread states, chunks of frames, generators.
    pub ranges: Vec<Range>,
    /// The modules that the last sample led through.
    pub modules: MetModules,
    /// The system call in which it was last seen blocked.
    pub last_call: Option<SystemCall>,
    /// The large transfer in which it was last seen blocked, unless it has been seen elsewhere since.
    pub transfer: Option<Activity>,
    /// Its run count when it was last seen blocked.
    pub blocked_at: Option<RunCount>,
    /// The stack that it had then, and what it waited for.
    pub blocked_stack: Option<(Arc<[SampleFrame]>, RunState)>,
    /// When it is looked at next.
    pub rest: Rest,
    /// Whether it held a GIL at the moment of its last stack.
    pub holds_gil: bool,
    /// The variables of each Python frame of its last stack, innermost first, where they are read:
    /// [`Reader::read_locals`](super::reader::Reader::read_locals).
    pub locals: Vec<Vec<Local>>,
    /// Why it has no stack of the last tick that wanted one.
    pub failure: Option<SampleFailure>,
}

impl ThreadHistory {
    /// A thread of which nothing is known yet.
    pub fn new(thread: Thread) -> ThreadHistory {
        let namespace_id = thread.namespace_id().unwrap_or(thread.tid.0);
        ThreadHistory {
            thread,
            namespace_id,
            thread_states: Vec::new(),
            pthread: None,
            listing: 0,
            stack_end: None,
            likely_sp: None,
            ranges: Vec::new(),
            modules: MetModules::default(),
            last_call: None,
            transfer: None,
            blocked_at: None,
            blocked_stack: None,
            rest: Rest::default(),
            holds_gil: false,
            locals: Vec::new(),
            failure: None,
        }
    }

    /// Takes note of the thread's states, which every sample of it must copy.
    pub fn set_thread_states(&mut self, states: Vec<Addr>) {
        if states != self.thread_states {
            self.ranges = states.iter().map(|start| Range { start: *start, len: THREAD_STATE_BYTES }).collect();
            self.thread_states = states;
        }
    }

    /// Takes note of the stack pointer of a sample. What is expected follows a deeper stack at once and a shallower one
    /// slowly: a copy that begins too low costs little, one that begins too high has to be taken again.
    pub fn ran_at(&mut self, sp: Addr) {
        let likely = self.likely_sp.filter(|likely| *likely < sp && sp.0 - likely.0 < FORGET_BEYOND);
        self.likely_sp = Some(likely.map_or(sp, |likely| Addr((likely.0 + (sp.0 - likely.0) / 8) & !15)));
    }

    /// Keeps those of `ranges` that the thread's states and frames lie in: the next sample will need them again.
    pub fn keep_used(&mut self, mut ranges: Vec<Range>, stack: Option<&PythonStack>) {
        let frames = stack.into_iter().flat_map(|stack| &stack.entries).map(|entry| match entry {
            PythonEntry::Frame(frame) => frame.frame,
            PythonEntry::Marker(addr) => *addr,
        });
        let mut used = vec![false; ranges.len()];
        let mut last = 0;
        for addr in frames.chain(self.thread_states.iter().copied()) {
            // Neighbours in the chain are neighbours in memory.
            if ranges.get(last).is_some_and(|range| range.holds(addr)) {
                used[last] = true;
            } else if let Some(index) = ranges.iter().position(|range| range.holds(addr)) {
                used[index] = true;
                last = index;
            }
        }
        let mut used = used.into_iter();
        ranges.retain(|_| used.next().unwrap_or(false));
        self.ranges = ranges;
    }

    /// Takes note of a blocked thread that is not to be read: what proves that it has not run since.
    pub fn pass_over(&mut self) {
        let before = self.thread.run_count();
        if let Ok(activity @ Activity::Blocked { .. }) = self.thread.activity() {
            self.transfer = transfers::of(activity);
            (self.blocked_at, self.likely_sp) = (before, None);
        }
    }

    /// Whether the thread is still blocked where it was seen last: it has not run since.
    pub fn is_unchanged(&self) -> bool {
        self.blocked_at.is_some() && self.thread.run_count() == self.blocked_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Pid, Tid};

    #[test]
    fn a_deeper_stack_is_expected_at_once_and_a_shallower_one_slowly() {
        let (pid, tid) = (std::process::id() as i32, nix::unistd::gettid().as_raw());
        let mut history = ThreadHistory::new(Thread::open(Pid(pid), Tid(tid)).unwrap());
        let mut expected_after = |sp| {
            history.ran_at(Addr(sp));
            history.likely_sp
        };
        assert_eq!(expected_after(0x10_8000), Some(Addr(0x10_8000)));
        assert_eq!(expected_after(0x10_0000), Some(Addr(0x10_0000)));
        assert_eq!(expected_after(0x10_8000), Some(Addr(0x10_1000)));
        assert_eq!(expected_after(0x20_0000), Some(Addr(0x20_0000)), "another stack, or the end of a deep recursion");
    }
}
