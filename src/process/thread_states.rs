//! Which thread states belong to which thread, kept up to date at almost no cost.
//!
//! Does: list the interpreter's thread states when there are new ones, and tell each thread its own.
//! Does not: read a thread, or watch for new states by itself: the words that tell of them are copied with each stack.

use std::time::{Duration, Instant};

use super::reader::Reader;
use super::thread::KnownThread;
use crate::capture::captured::Captured;
use crate::python::gil::Gil;
use crate::python::threads::{ThreadState, Threads};
use crate::types::Addr;

/// A thread without states is looked for in the lists again this often, also when they seem not to have grown: a state
/// can be listed before it is bound to its thread.
const LIST_AGAIN_EVERY: Duration = Duration::from_millis(250);

/// Where there are subinterpreters, all are listed again this often: one that has ended has no GIL any more.
const LIST_INTERPRETERS_EVERY: Duration = Duration::from_secs(1);

/// The thread states of one process.
#[derive(Debug, Default)]
pub struct ThreadStates {
    listed: Threads,
    gils: Vec<Gil>,
    listed_at: Option<Instant>,
    /// Counts the listings; 0 is none.
    listing: u64,
}

impl ThreadStates {
    /// Tells a thread its states, if it may have others than it knows of. Returns whether it has.
    pub fn assign(&mut self, known: &mut KnownThread, reader: &mut Reader) -> bool {
        let is_old = self.listed_at.is_none_or(|at| at.elapsed() >= LIST_AGAIN_EVERY);
        if self.listing == 0 || (known.states.addresses.is_empty() && is_old) {
            self.list(reader);
        }
        if known.states.listing == self.listing {
            return false;
        }
        known.states.listing = self.listing;
        let id = known.namespace_id.unsigned_abs().into();
        let states: Vec<Addr> = self.listed.of_native_id(id).map(|state| state.address).collect();
        let still_listed = |state: &ThreadState| known.states.addresses.contains(&state.address);
        // States that were found by the thread pointer are not lost because a number is stale.
        if states == known.states.addresses || (states.is_empty() && self.listed.threads.iter().any(still_listed)) {
            return false;
        }
        known.states.addresses = states;
        true
    }

    /// Tells a thread that has been captured its `pthread_t`, and if it has no states those that have the same: a process that
    /// forked can leave the thread's number stale in the interpreter. Returns whether there are any.
    pub fn assign_by_pointer(&self, known: &mut KnownThread, reader: &Reader, captured: &Captured) -> bool {
        let pthread = reader.pthread_of(captured);
        known.states.pthread = pthread.or(known.states.pthread);
        if !known.states.addresses.is_empty() {
            return false;
        }
        let states = self.listed.of_thread_pointer(pthread.unwrap_or(Addr::NULL));
        known.states.addresses = states.map(|state| state.address).collect();
        !known.states.addresses.is_empty()
    }

    /// Whether a capture shows that nothing has been added since the listing.
    pub fn are_newest(&self, reader: &Reader, captured: &Captured) -> bool {
        self.listed.has_no_newer(&reader.found.interpreter, captured)
    }

    /// Lists all thread states.
    pub fn list(&mut self, reader: &mut Reader) {
        self.listed = Threads::list(&reader.found.interpreter, &reader.memory());
        self.gils = self.listed.gils();
        let heads = self.listed.heads(&reader.found.interpreter);
        let collectors = self.listed.collector_words(&reader.found.interpreter.layout);
        let words: Vec<Addr> = heads.chain(self.gils.iter().flat_map(Gil::words)).chain(collectors).collect();
        reader.watch(words);
        self.listed_at = Some(Instant::now());
        self.listing += 1;
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

    /// Whether a thread held a GIL when the states were listed.
    pub fn held_gil(&self, known: &KnownThread) -> bool {
        let id = known.namespace_id.unsigned_abs().into();
        self.listed.of_native_id(id).any(|state| self.listed.holds_gil(state.address))
    }
}
