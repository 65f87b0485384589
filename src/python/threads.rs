//! Lists the interpreters of a runtime and their thread states.
//!
//! Does: follow the two linked lists, bounded and safe against cycles, and tell who holds each GIL.
//! Does not: walk frames, or read anything of the operating system's threads.
//!
//! One thread can have several thread states: one in each interpreter that it has entered (PEP 684). The frames of all
//! of them are on its one C stack at once, each inside the one that it was entered from. So a thread's Python stack is
//! the frames of *all* its thread states, put in order by their markers' addresses: [`crate::python::frames::interleave`].
//! That needs no guess about which of them is active, and a subinterpreter's frames keep the callers they really have.

use rustc_hash::FxHashSet;

use crate::python::gil::Gil;
use crate::python::layout::{Layout, MAX_THREAD_BYTES};
use crate::python::runtime::Interpreter;
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// The most interpreters of a runtime that are listed.
const MAX_INTERPRETERS: usize = 10_000;
/// The most thread states of a runtime that are listed.
const MAX_THREADS: usize = 100_000;

/// One interpreter (`PyInterpreterState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterpreterState {
    /// Where it is.
    pub address: Addr,
    /// The head of its list of thread states: new ones are put in front.
    pub threads_head: Addr,
    /// Its number; the main interpreter's is 0.
    pub id: i64,
    /// The thread state that holds its GIL now; interpreters that share a GIL state the same holder, which can belong
    /// to either. Always absent in free-threaded builds.
    pub gil_holder: Option<Addr>,
    /// Where its GIL is; absent in free-threaded builds, and before it has been created.
    pub gil: Option<Gil>,
}

impl InterpreterState {
    /// Whether this is the interpreter that the process began with.
    pub fn is_main(&self) -> bool {
        self.id == 0
    }
}

/// One thread's state in one interpreter (`PyThreadState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadState {
    /// Where it is.
    pub address: Addr,
    /// The number of the interpreter that it belongs to.
    pub interpreter: i64,
    /// `pthread_self()` of its thread: the thread pointer of that thread's registers.
    pub thread_id: Addr,
    /// `gettid()` of its thread in the target's own pid namespace; 0 where CPython could not tell.
    pub native_thread_id: u64,
}

/// The interpreters and thread states of a runtime at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Threads {
    /// The interpreters; the one created last comes first.
    pub interpreters: Vec<InterpreterState>,
    /// The thread states of all of them.
    pub threads: Vec<ThreadState>,
    /// Why there may be more than those: a list changed while it was read, or exceeds its bound.
    pub incomplete: Option<Incomplete>,
}

/// Why a list of threads may not be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// A list led to memory that cannot be read.
    Unreadable(ReadError),
    /// A list leads back to an element that it has already been through.
    Cycle(Addr),
    /// A list is longer than its bound.
    TooLong,
}

impl Threads {
    /// Lists everything that can be reached; what could not be is told by [`Threads::incomplete`].
    pub fn list(interpreter: &Interpreter, mem: &impl Memory) -> Threads {
        let mut threads = Threads::default();
        threads.incomplete = threads.collect(interpreter, mem).err();
        threads
    }

    /// Where the heads of the lists are: the words that [`Threads::has_no_newer`] reads.
    pub fn heads(&self, interpreter: &Interpreter) -> impl Iterator<Item = Addr> {
        let of_threads = interpreter.layout.interpreter.threads_head;
        let of_interpreters = interpreter.runtime.wrapping_add(interpreter.layout.runtime.interpreters_head);
        std::iter::once(of_interpreters)
            .chain(self.interpreters.iter().map(move |i| i.address.wrapping_add(of_threads)))
    }

    /// Whether nothing has been added since the listing: both lists grow at their heads, which are read again.
    pub fn has_no_newer(&self, interpreter: &Interpreter, mem: &impl Memory) -> bool {
        let newest = self.interpreters.first().map_or(Addr::NULL, |newest| newest.address);
        self.incomplete.is_none()
            && interpreter.interpreters_head(mem) == Ok(newest)
            && self.interpreters.iter().all(|known| {
                mem.read_addr(known.address.wrapping_add(interpreter.layout.interpreter.threads_head))
                    == Ok(known.threads_head)
            })
    }

    /// The thread states of the thread with this thread pointer.
    pub fn of_thread_pointer(&self, pointer: Addr) -> impl Iterator<Item = &ThreadState> {
        self.threads.iter().filter(move |thread| thread.thread_id == pointer && !pointer.is_null())
    }

    /// The thread states of the thread with this number in the target's own pid namespace.
    pub fn of_native_id(&self, id: u64) -> impl Iterator<Item = &ThreadState> {
        self.threads.iter().filter(move |thread| thread.native_thread_id == id && id != 0)
    }

    /// Whether this thread state holds a GIL.
    pub fn holds_gil(&self, thread_state: Addr) -> bool {
        self.interpreters.iter().any(|interpreter| interpreter.gil_holder == Some(thread_state))
    }

    /// The GILs of all interpreters, each once.
    pub fn gils(&self) -> Vec<Gil> {
        let mut gils: Vec<Gil> = self.interpreters.iter().filter_map(|interpreter| interpreter.gil).collect();
        gils.sort_unstable_by_key(|gil| gil.start);
        gils.dedup();
        gils
    }

    /// Where the words are that [`Threads::is_collecting`] reads, beside those of the GILs.
    pub fn collector_words(&self, layout: &Layout) -> impl Iterator<Item = Addr> {
        let collecting = layout.interpreter.gc_collecting;
        self.interpreters.iter().map(move |interpreter| interpreter.address.wrapping_add(collecting))
    }

    /// Whether a running thread with these thread states collects garbage: an interpreter does, and the thread holds its
    /// GIL. What cannot be read is a no.
    pub fn is_collecting(&self, layout: &Layout, states: &[Addr], mem: &impl Memory) -> bool {
        let collecting = self.collector_words(layout).map(|word| mem.read_u32(word).is_ok_and(|flag| flag != 0));
        self.interpreters.iter().zip(collecting).any(|(interpreter, collecting)| {
            let holder = interpreter.gil.filter(|_| collecting).and_then(|gil| gil.holder(mem).ok()?);
            holder.is_some_and(|holder| states.contains(&holder))
        })
    }

    fn collect(&mut self, interpreter: &Interpreter, mem: &impl Memory) -> Result<(), Incomplete> {
        let layout = &interpreter.layout.interpreter;
        let mut seen = FxHashSet::default();
        let mut next = interpreter.interpreters_head(mem)?;
        while !next.is_null() {
            visit(&mut seen, next, MAX_INTERPRETERS)?;
            let id = mem.read_u64(next.wrapping_add(layout.id))?.cast_signed();
            let gil = Gil::of(interpreter, mem, next)?;
            let gil_holder = gil.map_or(Ok(None), |gil| gil.holder(mem))?;
            let threads_head = mem.read_addr(next.wrapping_add(layout.threads_head))?;
            self.interpreters.push(InterpreterState { address: next, threads_head, id, gil_holder, gil });
            self.collect_threads(interpreter, mem, (threads_head, id))?;
            next = mem.read_addr(next.wrapping_add(layout.next))?;
        }
        Ok(())
    }

    fn collect_threads(
        &mut self,
        interpreter: &Interpreter,
        mem: &impl Memory,
        (head, id): (Addr, i64),
    ) -> Result<(), Incomplete> {
        let layout = &interpreter.layout.thread;
        let last = layout.next.max(layout.thread_id).max(layout.native_thread_id);
        // Within bounds for every layout that exists; the minimum keeps that a local fact.
        let mut buf = [0; MAX_THREAD_BYTES];
        let len = usize::try_from(last).unwrap_or(MAX_THREAD_BYTES).saturating_add(8).min(MAX_THREAD_BYTES);
        let mut seen = FxHashSet::default();
        let mut next = head;
        while !next.is_null() {
            visit(&mut seen, next, MAX_THREADS.saturating_sub(self.threads.len()))?;
            let fields = buf.get_mut(..len).ok_or(Incomplete::TooLong)?;
            mem.read(next, fields)?;
            let word = |offset: u64| field(fields, offset).ok_or(ReadError { addr: next, len: 8 });
            self.threads.push(ThreadState {
                address: next,
                interpreter: id,
                thread_id: Addr(word(layout.thread_id)?),
                native_thread_id: word(layout.native_thread_id)?,
            });
            next = Addr::of_pointer(word(layout.next)?);
        }
        Ok(())
    }
}

impl From<ReadError> for Incomplete {
    fn from(error: ReadError) -> Self {
        Incomplete::Unreadable(error)
    }
}

fn field(bytes: &[u8], offset: u64) -> Option<u64> {
    let start = usize::try_from(offset).ok()?;
    let word = bytes.get(start..start.checked_add(8)?)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

fn visit(seen: &mut FxHashSet<Addr>, element: Addr, limit: usize) -> Result<(), Incomplete> {
    if seen.len() >= limit {
        return Err(Incomplete::TooLong);
    }
    if seen.insert(element) { Ok(()) } else { Err(Incomplete::Cycle(element)) }
}
