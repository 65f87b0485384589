//! Which thread states belong to which thread, kept up to date at almost no cost.
//!
//! Does: list the interpreter's thread states when there are new ones, and tell each thread its own: by its number, by its
//! `pthread_t`, or by where their frames lie.
//! Does not: read a thread, or watch for new states by itself: the words that tell of them are copied with each stack.

use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::reader::Reader;
use super::reading::Reading;
use super::thread::KnownThread;
use crate::capture::captured::Captured;
use crate::capture::native;
use crate::python::frames;
use crate::python::gil::Gil;
use crate::python::stack::{ChainEnd, PythonEntry};
use crate::python::threads::{InterpreterState, ThreadState, Threads};
use crate::types::Addr;

/// A thread without states is looked for in the lists again this often, also when they seem not to have grown: a state
/// can be listed before it is bound to its thread.
const LIST_AGAIN_EVERY: Duration = Duration::from_millis(250);

/// Where there are subinterpreters, all are listed again this often: one that has ended has no GIL any more.
const LIST_INTERPRETERS_EVERY: Duration = Duration::from_secs(1);

/// Listing for the sake of single threads takes one part in so many of the time at most.
const LISTING_SHARE: u32 = 8;

/// So many states that are no known thread's are walked to find one thread's, at most.
const MAX_SEARCHED: usize = 1_024;

/// More numbers of threads are not remembered: they are those of threads that have ended.
const MAX_NUMBERS: usize = 1 << 16;

/// The thread states of one process.
#[derive(Debug, Default)]
pub struct ThreadStates {
    listed: Threads,
    gils: Vec<Gil>,
    listed_at: Option<Instant>,
    listing_took: Duration,
    /// Counts the listings; 0 is none.
    listing: u64,
    /// The numbers of the threads that have been asked for: a state with another one may be any thread's.
    numbers: FxHashSet<u64>,
}

impl ThreadStates {
    /// Tells a thread its states, if it may have others than it knows of.
    pub fn assign(&mut self, known: &mut KnownThread, reader: &mut Reader) {
        let is_old = self.listed_at.is_none_or(|at| at.elapsed() >= LIST_AGAIN_EVERY);
        if self.listing == 0 || (known.states.addresses.is_empty() && is_old) {
            self.list(reader);
        }
        if known.states.listing != self.listing {
            self.assign_listed(known);
        }
    }

    /// Tells a thread that has been read the states that it turns out to have. Returns whether they are others than those that it was
    /// read with: then it is to be read again.
    ///
    /// A reading can show that states have been made since they were listed; that those it was made with have become another
    /// thread's; that an eval loop runs, and so a state there must be. A state is listed before it is bound to its thread, and a
    /// new one can be where an old one was, so that the lists look the same. Threads that live for two milliseconds must be told at once.
    pub fn assign_again(&mut self, known: &mut KnownThread, reader: &mut Reader, reading: &Reading) -> bool {
        let captured = &reading.captured;
        let fits = reader.states_fit(known, reading);
        known.states.pthread = reader.pthread_of(captured).or(known.states.pthread);
        let lacks_python = reading.merged.lacks_python();
        let is_newest = self.are_newest(reader, captured);
        if fits && is_newest && !lacks_python && !known.states.addresses.is_empty() {
            return false;
        }
        let before = known.states.addresses.clone();
        let may_list = self.listed_at.is_none_or(|at| at.elapsed() >= self.listing_took * LISTING_SHARE);
        let lists_for_it = (lacks_python || !fits) && may_list && known.states.list_again.is_due();
        if !fits {
            known.states.rejected.add(std::mem::take(&mut known.states.addresses), self.listing);
        }
        if !is_newest || lists_for_it {
            self.list(reader);
        }
        self.assign_listed(known);
        if known.states.addresses.is_empty() && known.states.pthread.is_none() {
            self.assign_by_place(known, reader, reading);
        }
        if lists_for_it {
            known.states.list_again.listed(known.states.addresses != before);
        }
        // In vain, too: a thread that has left the interpreter meanwhile has its state no more, and no eval frame either.
        !fits || lists_for_it || known.states.addresses != before
    }

    /// Tells a thread which of the listed states are its own.
    fn assign_listed(&mut self, known: &mut KnownThread) {
        let number = known.number();
        if self.numbers.len() >= MAX_NUMBERS {
            self.numbers.clear();
        }
        self.numbers.insert(number);
        known.states.listing = self.listing;
        // A number can be stale, the `pthread_t` of a thread never changes.
        let pthread = known.states.pthread;
        let rejected = &known.states.rejected;
        let can_be_its = |state: &&ThreadState| {
            pthread.is_none_or(|own| state.thread_id == own)
                && !rejected.holds(state.address, state.native_thread_id == number, self.listing)
        };
        let mut states: Vec<Addr> =
            self.listed.of_native_id(number).filter(can_be_its).map(|state| state.address).collect();
        if states.is_empty()
            && let Some(pthread) = pthread
        {
            let states_of_it = self.listed.of_thread_pointer(pthread).filter(can_be_its);
            states = states_of_it.map(|state| state.address).collect();
        }
        let still_listed = |state: &ThreadState| known.states.addresses.contains(&state.address);
        // States that were found otherwise are not lost because a number is stale.
        if states.is_empty() && self.listed.threads.iter().filter(can_be_its).any(still_listed) {
            return;
        }
        known.states.addresses = states;
    }

    /// Tells a thread whose `pthread_t` is not known the state whose frames lie on its stack: a process that was forked by
    /// native code has the parent's number in it, and a thread that is blocked shows no more than where its stack begins. No other
    /// thread's frames can lie there; those of one that has ended can, so what is read with the state is held against the stack
    /// ([`Reader::states_fit`]).
    fn assign_by_place(&self, known: &mut KnownThread, reader: &Reader, reading: &Reading) {
        if known.states.searched == self.listing {
            return;
        }
        known.states.searched = self.listing;
        let sp = reading.captured.registers.get(native::SP).map_or(Addr::NULL, Addr);
        let Some(stack) = reader.space.mappings.find_stack(sp) else { return };
        let is_nobody_s = |state: &&ThreadState| {
            !self.numbers.contains(&state.native_thread_id)
                && !known.states.rejected.holds(state.address, false, self.listing)
        };
        let candidates = self.listed.threads.iter().filter(is_nobody_s).take(MAX_SEARCHED);
        let on_stack = candidates.filter_map(|state| {
            let walked = frames::walk(&reader.found.interpreter.layout, &reader.memory(), state.address);
            let mut markers = walked.entries.iter().filter_map(PythonEntry::marker);
            let innermost = markers.next()?;
            let is_inside = |marker: Addr| sp <= marker && marker < stack.end;
            (walked.end == ChainEnd::Root && is_inside(innermost) && markers.all(is_inside))
                .then_some((innermost, state.address))
        });
        known.states.addresses.extend(on_stack.min().map(|(_, state)| state));
    }

    /// Whether a capture shows that nothing has been added since the listing.
    fn are_newest(&self, reader: &Reader, captured: &Captured) -> bool {
        self.listed.has_no_newer(&reader.found.interpreter, captured)
    }

    /// Lists all thread states.
    pub fn list(&mut self, reader: &mut Reader) {
        let began = Instant::now();
        self.listed = Threads::list(&reader.found.interpreter, &reader.memory());
        self.gils = self.listed.gils();
        let heads = self.listed.heads(&reader.found.interpreter);
        let collectors = self.listed.collector_words(&reader.found.interpreter.layout);
        let words: Vec<Addr> = heads.chain(self.gils.iter().flat_map(Gil::words)).chain(collectors).collect();
        reader.watch(words);
        let now = Instant::now();
        (self.listed_at, self.listing_took) = (Some(now), now - began);
        self.listing += 1;
    }

    /// The interpreters, when they were listed last.
    pub fn interpreters(&self) -> &[InterpreterState] {
        &self.listed.interpreters
    }

    /// What was listed of a thread's states.
    pub fn of<'a>(&'a self, known: &'a KnownThread) -> impl Iterator<Item = &'a ThreadState> {
        self.listed.threads.iter().filter(|state| known.states.addresses.contains(&state.address))
    }

    /// The GILs of the process.
    pub fn gils(&mut self, reader: &mut Reader) -> &[Gil] {
        let may_have_ended = self.listed.interpreters.len() > 1
            && self.listed_at.is_none_or(|at| at.elapsed() >= LIST_INTERPRETERS_EVERY);
        if self.listing == 0 || may_have_ended {
            self.list(reader);
        }
        &self.gils
    }

    /// Whether a futex at `addr` is one on which threads wait for a GIL.
    pub fn is_gil(&self, addr: Addr) -> bool {
        self.gils.iter().any(|gil| gil.holds(addr))
    }

    /// Whether a thread that was captured while it ran collects garbage.
    pub fn is_collecting(&self, known: &KnownThread, reader: &Reader, captured: &Captured) -> bool {
        self.listed.is_collecting(&reader.found.interpreter.layout, &known.states.addresses, captured)
    }

    /// Whether a thread held a GIL at the moment when it was captured.
    pub fn holds_gil(&self, known: &KnownThread, captured: &Captured) -> bool {
        let holders = self.gils.iter().filter_map(|gil| gil.holder(captured).ok()?);
        holders.into_iter().any(|holder| known.states.addresses.contains(&holder))
    }

    /// Whether a thread held a GIL when the states were listed, or may have: one of which no state is known, where the holder is no
    /// known thread's.
    pub fn may_have_held_gil(&self, known: &KnownThread) -> bool {
        let is_stateless = known.states.addresses.is_empty();
        let is_its = |state: &ThreadState| {
            state.native_thread_id == known.number()
                || known.states.addresses.contains(&state.address)
                || (is_stateless && !self.numbers.contains(&state.native_thread_id))
        };
        self.listed.threads.iter().any(|state| self.listed.holds_gil(state.address) && is_its(state))
    }
}
