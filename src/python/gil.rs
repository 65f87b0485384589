//! The global interpreter lock (PEP 684: each interpreter can have its own), and the collector of garbage, which runs under it.
//!
//! Does: find an interpreter's GIL, tell who holds it and which addresses threads wait on for it, and whether a thread
//! collects garbage.
//! Does not: know what a thread waits on; that is its system call.

use crate::python::layout::{GilLayout, GilLocation, Layout};
use crate::python::runtime::Interpreter;
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// One `_gil_runtime_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gil {
    /// Where it is.
    pub start: Addr,
    layout: GilLayout,
}

/// A few bytes of the target.
pub type Word = (Addr, usize);

impl Gil {
    /// The GIL of the interpreter whose state is at `state`; `None` in free-threaded builds, and before it has one.
    ///
    /// # Errors
    /// When the interpreter cannot be read.
    pub fn of(interpreter: &Interpreter, mem: &impl Memory, state: Addr) -> Result<Option<Gil>, ReadError> {
        let (start, layout) = match interpreter.layout.interpreter.gil {
            GilLocation::None => return Ok(None),
            GilLocation::Runtime { start, gil } => (interpreter.runtime.wrapping_add(start), gil),
            GilLocation::Interpreter { pointer, gil } => (mem.read_addr(state.wrapping_add(pointer))?, gil),
        };
        Ok(Some(Gil { start, layout }).filter(|gil| !gil.start.is_null()))
    }

    /// The thread state that holds it now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn holder(&self, mem: &impl Memory) -> Result<Option<Addr>, ReadError> {
        if !self.is_held(mem)? {
            return Ok(None);
        }
        let holder = mem.read_addr(self.start.wrapping_add(self.layout.last_holder))?;
        Ok(Some(holder).filter(|holder| !holder.is_null()))
    }

    /// Whether anybody holds it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_held(&self, mem: &impl Memory) -> Result<bool, ReadError> {
        // It is -1 before it is created (`gil_created` in ceval_gil.c).
        Ok(mem.read_u32(self.start.wrapping_add(self.layout.locked))? == 1)
    }

    /// Whether a futex at `addr` is one of its own: those of its condition variables and mutexes.
    pub fn holds(&self, addr: Addr) -> bool {
        addr.0.checked_sub(self.start.0).is_some_and(|offset| offset < self.layout.size)
    }
}

/// What tells whether a thread holds its interpreter's GIL, and whether it collects garbage under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The thread's state in that interpreter.
    pub thread_state: Addr,
    /// The interpreter's GIL.
    pub gil: Gil,
    /// Where the interpreter's `gc.collecting` is.
    collecting: Addr,
}

impl Holding {
    /// For a thread state of the interpreter whose state is at `interpreter`.
    pub fn new(layout: &Layout, thread_state: Addr, interpreter: Addr, gil: Gil) -> Holding {
        Holding { thread_state, gil, collecting: interpreter.wrapping_add(layout.interpreter.gc_collecting) }
    }

    /// What must be read, together with the thread state, for the questions below.
    pub fn words(&self) -> [Word; 2] {
        let GilLayout { last_holder, locked, .. } = self.gil.layout;
        let first = last_holder.min(locked);
        // Both are small and near each other in every layout that has been accepted; the bound keeps that a local fact.
        let len = last_holder.max(locked).saturating_sub(first).min(56) + 8;
        [(self.gil.start.wrapping_add(first), usize::try_from(len).unwrap_or(8)), (self.collecting, 4)]
    }

    /// Whether the thread holds the GIL.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn is_holder(&self, mem: &impl Memory) -> Result<bool, ReadError> {
        Ok(self.gil.holder(mem)? == Some(self.thread_state))
    }

    /// Whether the thread, which runs, collects garbage: its interpreter does, and this thread holds the GIL.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn collects(&self, mem: &impl Memory) -> Result<bool, ReadError> {
        Ok(self.is_holder(mem)? && mem.read_u32(self.collecting)? != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::memory::{Region, Regions};

    const GIL: Gil = Gil { start: Addr(0x1000), layout: GilLayout { last_holder: 8, locked: 16, size: 208 } };
    const HOLDING: Holding = Holding { thread_state: Addr(0x7000), gil: GIL, collecting: Addr(0x2000) };

    fn memory(holder: u64, locked: u32, collecting: u32) -> Regions {
        let mut gil = holder.to_le_bytes().to_vec();
        gil.extend(locked.to_le_bytes());
        gil.extend([0; 4]);
        let collecting = collecting.to_le_bytes().to_vec();
        [Region { start: Addr(0x1008), bytes: gil }, Region { start: Addr(0x2000), bytes: collecting }]
            .into_iter()
            .collect()
    }

    #[test]
    fn the_words_that_are_asked_for_are_enough() {
        assert_eq!(HOLDING.words(), [(Addr(0x1008), 16), (Addr(0x2000), 4)]);
        assert_eq!(HOLDING.collects(&memory(0x7000, 1, 1)), Ok(true));
    }

    #[test]
    fn only_the_last_holder_of_a_held_gil_holds_it() {
        assert_eq!(HOLDING.is_holder(&memory(0x7000, 1, 0)), Ok(true));
        for (holder, locked) in [(0x7000, 0), (0x7000, u32::MAX), (0x7008, 1), (0, 1)] {
            assert_eq!(HOLDING.is_holder(&memory(holder, locked, 1)), Ok(false), "{holder:#x} {locked}");
            assert_eq!(HOLDING.collects(&memory(holder, locked, 1)), Ok(false), "another thread collects");
        }
        assert_eq!(HOLDING.collects(&memory(0x7000, 1, 0)), Ok(false));
        assert!(HOLDING.collects(&Regions::default()).is_err(), "what cannot be read is not a no");
    }

    #[test]
    fn the_words_that_are_waited_on_lie_in_it() {
        let inside = [0x1000, 0x1020, 0x1000 + 207].map(|addr| GIL.holds(Addr(addr)));
        let outside = [0xfff, 0x1000 + 208, 0, u64::MAX].map(|addr| GIL.holds(Addr(addr)));
        assert_eq!((inside, outside), ([true; 3], [false; 4]));
    }
}
