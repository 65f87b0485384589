//! The names that a process has given its threads, as they were lately.
//!
//! Does: read them now and then, in some ten reads for all threads, and tell a thread its own.
//! Does not: stop a thread for it, or tell the kernel's names.
//!
//! The process runs meanwhile. So all of it is read twice, each time anew, and what differs is not believed: neither a `Thread` that is
//! being made or has ended, nor a string in the place of another. And a name is a thread's only by its numbers: see
//! [`python::thread_names`](crate::python::thread_names).

use std::ops::Range;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::batched_memory::BatchedMemory;
use super::reader::Reader;
use super::thread::KnownThread;
use super::thread_states::ThreadStates;
use crate::python::layout::Layout;
use crate::python::thread_names::{self, KnownThreads, NamedThread};
use crate::target::memory::BulkMemory;
use crate::types::Addr;

/// Names change: they are read again this often.
const READ_EVERY: Duration = Duration::from_secs(1);
/// And this often after a thread was seen for the first time, which may not have come to tell its name;
const READ_SOON: Duration = Duration::from_millis(20);
/// for so long.
const NEW_FOR: Duration = Duration::from_millis(200);
/// Reading names takes one part in so many of the time at most.
const SHARE: u32 = 100;
/// Where a program has no `threading`, that is looked for again this often; twice as seldom after each time in vain.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_AT_LATEST: Duration = Duration::from_secs(30);
/// So many threads are read at a time, so that sampling goes on meanwhile; the next ones soon after.
const AT_ONCE: usize = 16;
/// The most interpreters whose threads' names are read.
const MAX_INTERPRETERS: usize = 16;
/// More parts than there can be.
const MAX_PARTS: usize = 512;
/// The most rounds of copying what the round before has led to, and the most bytes.
const MAX_ROUNDS: usize = 80;
const MAX_BYTES: usize = 16 << 20;

/// The names of a process's threads.
#[derive(Debug, Default)]
pub struct ThreadNames {
    /// By the address of the interpreter.
    interpreters: FxHashMap<Addr, Known>,
    /// By the interpreter's number and the thread's `pthread_t`.
    names: FxHashMap<(i64, u64), NamedThread>,
    next: Option<Instant>,
    new_until: Option<Instant>,
}

/// What is known of one interpreter.
#[derive(Debug, Default)]
struct Known {
    /// The dict of its `threading`, once that was found.
    globals: Option<Addr>,
    /// How many of its threads have been read since the first one was, and the names of those.
    read: usize,
    pass: Vec<NamedThread>,
    /// When it is looked for again, and after how long the time after that.
    look: Option<(Instant, Duration)>,
}

impl ThreadNames {
    /// Takes note that a thread was seen for the first time.
    pub fn expect_new(&mut self) {
        let now = Instant::now();
        self.new_until = Some(now + NEW_FOR);
        self.next = self.next.map(|next| next.min(now + READ_SOON));
    }

    /// Reads them again if it is time to. Returns whether it was.
    pub fn read_if_due(&mut self, reader: &Reader, states: &ThreadStates) -> bool {
        let began = Instant::now();
        if self.next.is_some_and(|next| began < next) {
            return false;
        }
        let is_whole = self.read_part(reader, states);
        let now = Instant::now();
        let is_new = self.new_until.is_some_and(|until| now < until);
        let wait = if is_new || !is_whole { READ_SOON } else { READ_EVERY };
        self.next = Some(now + wait.max((now - began) * SHARE));
        true
    }

    /// Reads all of them again.
    pub fn read(&mut self, reader: &Reader, states: &ThreadStates) {
        for _ in 0..MAX_PARTS {
            if self.read_part(reader, states) {
                break;
            }
        }
    }

    /// Reads the next ones of each interpreter. Returns whether these were the last of all.
    fn read_part(&mut self, reader: &Reader, states: &ThreadStates) -> bool {
        let (memory, layout) = (reader.memory(), &reader.found.interpreter.layout);
        let mut is_whole = true;
        for interpreter in states.interpreters().iter().rev().take(MAX_INTERPRETERS) {
            let known = self.interpreters.entry(interpreter.address).or_default();
            let is_last = known.read(memory, layout, interpreter.address);
            if is_last {
                // What was not among them has ended.
                self.names.retain(|(id, _), _| *id != interpreter.id);
            }
            let named = known.pass.iter().cloned();
            self.names.extend(named.map(|thread| ((interpreter.id, thread.ident), thread)));
            if is_last {
                known.pass.clear();
            }
            is_whole &= is_last;
        }
        self.interpreters.retain(|address, _| states.interpreters().iter().any(|listed| listed.address == *address));
        is_whole
    }

    /// The name of a thread, if its program has given it one; `is_first`: the process began with it.
    pub fn of(&self, known: &KnownThread, is_first: bool, states: &ThreadStates) -> Option<&str> {
        let its = |thread: &&NamedThread| {
            // CPython before 3.13 leaves the `Thread` that a fork was made in the number that it had in the parent.
            (is_first && thread.is_main) || thread.native_id == Some(known.number())
        };
        let mut states: Vec<_> = states.of(known).collect();
        states.sort_unstable_by_key(|state| state.interpreter);
        let mut named = states
            .into_iter()
            .filter_map(|state| self.names.get(&(state.interpreter, state.thread_id.0)).filter(its))
            .map(|thread| thread.name.as_str());
        named.find(|name| is_given(name))
    }
}

impl Known {
    /// Reads the next threads, which are added to those of this pass. Returns whether they were the last.
    fn read(&mut self, memory: &dyn BulkMemory, layout: &Layout, interpreter: Addr) -> bool {
        if self.globals.is_none() {
            let now = Instant::now();
            if self.look.is_some_and(|(at, _)| now < at) {
                return true;
            }
            self.globals = copying(memory, |copies| thread_names::globals(copies, layout, interpreter).ok());
            let wait = self.look.map_or(LOOK_EVERY, |(_, wait)| (wait * 2).min(LOOK_AT_LATEST));
            self.look = Some((now + wait, wait));
        }
        let Some(globals) = self.globals else { return true };
        let (named, all) = read_twice(memory, layout, globals, self.read..self.read.saturating_add(AT_ONCE));
        self.read = self.read.saturating_add(AT_ONCE);
        self.pass.extend(named);
        let is_last = self.read >= all;
        if is_last {
            self.read = 0;
            // It has been freed, or there was never a thread in it that is known.
            self.globals = self.globals.filter(|_| !self.pass.is_empty());
            self.look = self.look.filter(|_| self.pass.is_empty());
        }
        is_last
    }
}

/// Whether a program has given this name: `threading` itself names what has not been started by it.
fn is_given(name: &str) -> bool {
    let number = name.strip_prefix("Dummy-");
    !name.is_empty() && number.is_none_or(|number| number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()))
}

/// What two readings of a part of the threads agree on, and how many there are in all.
fn read_twice(
    memory: &dyn BulkMemory,
    layout: &Layout,
    globals: Addr,
    part: Range<usize>,
) -> (Vec<NamedThread>, usize) {
    let Some(threads) = copying(memory, |copies| KnownThreads::find(copies, layout, globals).ok()) else {
        return (Vec::new(), 0);
    };
    // The second time one more may be in front of them, or one less.
    let more = part.start.saturating_sub(1)..part.end.saturating_add(1);
    let (first, all) = copying(memory, |copies| threads.read(copies, layout, part.clone()));
    let (second, _) = copying(memory, |copies| threads.read(copies, layout, more.clone()));
    let second: FxHashMap<u64, NamedThread> = second.into_iter().map(|thread| (thread.ident, thread)).collect();
    (first.into_iter().filter(|thread| second.get(&thread.ident) == Some(thread)).collect(), all)
}

/// What `read` returns once all that it lacks has been copied.
fn copying<T>(memory: &dyn BulkMemory, read: impl Fn(&BatchedMemory) -> T) -> T {
    let mut copies = BatchedMemory::new(MAX_BYTES);
    for _ in 0..MAX_ROUNDS {
        let result = read(&copies);
        if !copies.fetch(memory) {
            return result;
        }
    }
    read(&copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_threads_that_were_not_started_by_threading_are_not_given_ones() {
        assert_eq!(
            ["MainThread", "Thread-1 (job)", "Dummy-", "Dummy-x", "Dummy-7", ""].map(is_given),
            [true, true, true, true, false, false]
        );
    }
}
