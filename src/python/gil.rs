//! The global interpreter lock. Each interpreter can have its own (PEP 684).
//!
//! Does: find an interpreter's GIL, tell who holds it and which addresses threads wait on for it.
//! Does not: know what a thread waits on; that is its system call.

use crate::python::layout::{GilLayout, GilLocation};
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

    /// Where the words are that [`Gil::holder`] reads.
    pub fn words(&self) -> [Addr; 2] {
        [self.layout.last_holder, self.layout.locked].map(|field| self.start.wrapping_add(field))
    }

    /// Whether a futex at `addr` is one of its own: those of its condition variables and mutexes.
    pub fn holds(&self, addr: Addr) -> bool {
        addr.0.checked_sub(self.start.0).is_some_and(|offset| offset < self.layout.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::memory::Region;

    const GIL: Gil = Gil { start: Addr(0x1000), layout: GilLayout { last_holder: 8, locked: 16, size: 208 } };
    fn memory(holder: u64, locked: u32) -> Region {
        let mut bytes = holder.to_le_bytes().to_vec();
        bytes.extend(locked.to_le_bytes());
        Region { start: Addr(0x1008), bytes }
    }

    #[test]
    fn only_the_last_holder_of_a_held_gil_holds_it() {
        assert_eq!(GIL.words(), [Addr(0x1008), Addr(0x1010)]);
        assert_eq!(GIL.holder(&memory(0x7000, 1)), Ok(Some(Addr(0x7000))));
        for (holder, locked) in [(0x7000, 0), (0x7000, u32::MAX), (0, 1)] {
            assert_eq!(GIL.holder(&memory(holder, locked)), Ok(None), "{holder:#x} {locked}");
        }
        assert!(GIL.holder(&Region::default()).is_err(), "what cannot be read is not a no");
    }

    #[test]
    fn the_words_that_are_waited_on_lie_in_it() {
        let inside = [0x1000, 0x1020, 0x1000 + 207].map(|addr| GIL.holds(Addr(addr)));
        let outside = [0xfff, 0x1000 + 208, 0, u64::MAX].map(|addr| GIL.holds(Addr(addr)));
        assert_eq!((inside, outside), ([true; 3], [false; 4]));
    }
}
