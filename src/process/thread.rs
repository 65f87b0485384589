//! What is known of one thread, apart from what it does.
//!
//! Does: hold its states in the interpreter, which [`ThreadStates`](super::thread_states::ThreadStates) tells it, and what its next
//! capture is likely to need, which [`Reader`](super::reader::Reader) learns.
//! Does not: say what it did or when it is looked at next; that is the sampler's.

use std::time::{Duration, Instant};

use super::kept_pages::KeptPages;
use super::module_marks::MetModules;
use super::read_around::used_pages;
use crate::capture::range::Range;
use crate::python::stack::{PythonEntry, PythonStack};
use crate::target::memory::Region;
use crate::target::threads::Thread;
use crate::types::Addr;

/// What is read of a thread state: all fields that the walk needs are in its first kilobyte (3.15 has 888 bytes).
const THREAD_STATE_BYTES: usize = 1024;

/// Stacks that were deeper by more bytes than this are not expected again: copying them in vain costs some 5 µs.
const FORGET_BEYOND: u64 = 64 << 10;

/// After a listing of thread states that had none for a thread, the next one for that thread is so much later; after each that is in
/// vain as well, twice as much.
const LIST_AGAIN_AFTER: Duration = Duration::from_millis(1);
const LIST_AGAIN_AT_LATEST: Duration = Duration::from_millis(250);

/// One thread of the target.
#[derive(Debug)]
pub struct KnownThread {
    /// Its files.
    pub thread: Thread,
    /// Its id in the target's own pid namespace.
    pub namespace_id: i32,
    /// Its states in the interpreter.
    pub states: OwnStates,
    /// What its next capture is likely to need.
    pub(super) expected: Expected,
}

impl KnownThread {
    /// A thread of which nothing is known yet.
    pub fn new(thread: Thread) -> KnownThread {
        let namespace_id = thread.namespace_id().unwrap_or(thread.tid.0);
        KnownThread { thread, namespace_id, states: OwnStates::default(), expected: Expected::default() }
    }

    /// Its number, as the interpreter's thread states have it.
    pub fn number(&self) -> u64 {
        self.namespace_id.unsigned_abs().into()
    }

    /// Takes note that the thread is blocked, and not expected to run soon.
    pub fn rests(&mut self) {
        self.expected.likely_sp = None;
    }
}

/// The states of one thread in the interpreters of its process.
#[derive(Debug, Default)]
pub struct OwnStates {
    /// One for each interpreter that the thread has entered; none of a thread without Python.
    pub addresses: Vec<Addr>,
    /// The thread's `pthread_t`, once it has been stopped: that never changes.
    pub pthread: Option<Addr>,
    /// Which listing of thread states `addresses` is from; 0 is none.
    pub(super) listing: u64,
    /// In which listing states were last looked for by where their frames lie; 0 is none.
    pub(super) searched: u64,
    /// When states are listed again because the thread lacks one, at the earliest.
    pub(super) list_again: ListAgain,
    /// States that have turned out to be another thread's.
    pub(super) rejected: Rejected,
}

/// States that a thread was read with, and that are another's: it is not read with them again at once.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    addresses: Vec<Addr>,
    /// When, and which listing was the last one then.
    at: Option<(Instant, u64)>,
}

impl Rejected {
    /// Takes note of states that do not fit, by the listing of that number.
    pub(super) fn add(&mut self, addresses: Vec<Addr>, listing: u64) {
        *self = Rejected { addresses, at: Some((Instant::now(), listing)) };
    }

    /// Whether a state that has the thread's number in the listing of that number is still rejected: until there is another listing. One
    /// that is found otherwise is for longer: what its thread has left in memory does not change.
    pub(super) fn holds(&self, state: Addr, is_numbered: bool, listing: u64) -> bool {
        let is_recent = |(at, then): (Instant, u64)| {
            if is_numbered { then == listing } else { at.elapsed() < LIST_AGAIN_AT_LATEST }
        };
        self.addresses.contains(&state) && self.at.is_some_and(is_recent)
    }
}

/// How often states are listed because a thread lacks one: at once, and less and less often where that is in vain.
#[derive(Debug, Default)]
pub(super) struct ListAgain {
    not_before: Option<Instant>,
    wait: Duration,
}

impl ListAgain {
    /// Whether it is time.
    pub(super) fn is_due(&self) -> bool {
        self.not_before.is_none_or(|at| Instant::now() >= at)
    }

    /// Takes note of whether a listing had a state for the thread.
    pub(super) fn listed(&mut self, found: bool) {
        self.wait = if found { Duration::ZERO } else { (self.wait * 2).clamp(LIST_AGAIN_AFTER, LIST_AGAIN_AT_LATEST) };
        self.not_before = (!found).then(|| Instant::now() + self.wait);
    }
}

/// What the next capture of a thread is likely to need: what the last one has needed.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// The end of its outermost frame, once a complete walk has found it.
    pub(super) stack_end: Option<Addr>,
    /// The lowest stack pointer that is likely, if it ran in the last capture: then it is likely to run again.
    pub(super) likely_sp: Option<Addr>,
    /// What is needed beside the stack: thread states, chunks of frames, generators.
    pub(super) ranges: Vec<Range>,
    kept: KeptPages,
    /// The thread states that `ranges` begins from.
    states: Vec<Addr>,
    /// The modules that its last stacks led through.
    pub(super) modules: MetModules,
}

impl Expected {
    /// Begins anew with the ranges when the thread has other states than at its last capture: each capture must copy them.
    pub(super) fn of_states(&mut self, states: &[Addr]) {
        if states != self.states {
            self.ranges = state_ranges(states).collect();
            self.states = states.to_vec();
        }
    }

    /// Takes note of the stack pointer of a capture. What is expected follows a deeper stack at once and a shallower one
    /// slowly: a copy that begins too low costs little, one that begins too high has to be taken again.
    pub(super) fn ran_at(&mut self, sp: Addr) {
        let likely = self.likely_sp.filter(|likely| *likely < sp && sp.0 - likely.0 < FORGET_BEYOND);
        self.likely_sp = Some(likely.map_or(sp, |likely| Addr((likely.0 + (sp.0 - likely.0) / 8) & !15)));
    }

    /// Takes note of where the thread's frames lie beside its `stack`: the next capture will need the same memory.
    pub(super) fn used(&mut self, python: Option<&PythonStack>, stack: &Region) {
        self.ranges.clear();
        self.ranges.extend(state_ranges(&self.states));
        let Some(python) = python else { return self.kept.clear() };
        let stack = Range::of(stack);
        let elsewhere = python.entries.iter().map(PythonEntry::address).filter(|addr| !stack.holds(*addr));
        let pages = used_pages(elsewhere);
        self.ranges.extend_from_slice(&pages);
        self.ranges.extend(self.kept.after(&pages));
    }
}

fn state_ranges(states: &[Addr]) -> impl Iterator<Item = Range> + '_ {
    states.iter().map(|start| Range { start: *start, len: THREAD_STATE_BYTES })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::stack::{ChainEnd, PythonFrame};

    #[test]
    fn a_deeper_stack_is_expected_at_once_and_a_shallower_one_slowly() {
        let mut expected = Expected::default();
        let mut after = |sp| {
            expected.ran_at(Addr(sp));
            expected.likely_sp
        };
        assert_eq!(after(0x10_8000), Some(Addr(0x10_8000)));
        assert_eq!(after(0x10_0000), Some(Addr(0x10_0000)));
        assert_eq!(after(0x10_8000), Some(Addr(0x10_1000)));
        assert_eq!(after(0x20_0000), Some(Addr(0x20_0000)), "another stack, or the end of a deep recursion");
    }

    #[test]
    fn states_are_listed_for_a_thread_at_once_and_more_and_more_seldom_in_vain() {
        let mut again = ListAgain::default();
        assert!(again.is_due());
        for _ in 0..20 {
            again.listed(false);
        }
        assert_eq!((again.wait, again.is_due()), (LIST_AGAIN_AT_LATEST, false));
        again.listed(true);
        assert!(again.is_due());
        again.listed(false);
        assert_eq!(again.wait, LIST_AGAIN_AFTER);
    }

    #[test]
    fn a_state_that_is_another_thread_s_is_not_taken_again_at_once() {
        let mut rejected = Rejected::default();
        assert!(!rejected.holds(Addr(8), true, 1));
        rejected.add(vec![Addr(8)], 1);
        assert_eq!(
            [(8, true, 1), (8, true, 2), (8, false, 2), (16, false, 2)]
                .map(|(state, is_numbered, listing)| { rejected.holds(Addr(state), is_numbered, listing) }),
            [true, false, true, false]
        );
    }

    #[test]
    fn what_a_thread_s_states_need_is_copied_from_the_first_capture_on() {
        let mut expected = Expected::default();
        expected.of_states(&[Addr(0x1000)]);
        assert_eq!(expected.ranges, [Range { start: Addr(0x1000), len: THREAD_STATE_BYTES }]);
        let chunk = Range { start: Addr(0x8000), len: 4096 };
        expected.ranges.push(chunk);
        expected.of_states(&[Addr(0x1000)]);
        assert_eq!(expected.ranges.len(), 2, "of the same states what was learned is kept");
        let frame =
            |addr| PythonEntry::Frame(PythonFrame { frame: Addr(addr), code: Addr(8), instruction_offset: None });
        let entries = vec![frame(0x9100), frame(0x9010), PythonEntry::Marker(Addr(0x7010))];
        let stack = Region { start: Addr(0x7000), bytes: vec![0; 64] };
        expected.used(Some(&PythonStack { entries, end: ChainEnd::Root }), &stack);
        let state = Range { start: Addr(0x1000), len: THREAD_STATE_BYTES };
        assert_eq!(expected.ranges, [state, Range { start: Addr(0x9000), len: 4096 }], "the stack is copied anyway");
        expected.used(None, &stack);
        assert_eq!(expected.ranges, [state], "what no frame lies in is not copied again");
        expected.of_states(&[]);
        assert!(expected.ranges.is_empty());
    }
}
