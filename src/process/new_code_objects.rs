//! The code objects that no sample has met before, copied while the thread that runs them stands still.
//!
//! Does: copy what they lead to in rounds, each with one bulk read for all of them, and have the cache read them when the thread runs
//! again. Does not: keep a code object.

use rustc_hash::FxHashSet;

use super::batched_memory::BatchedMemory;
use crate::python::code::CodeObject;
use crate::python::layout::Layout;
use crate::stack::code_cache::CodeCache;
use crate::target::memory::{BulkMemory, Memory, ReadError};
use crate::target::memory_budget::{self, Left, Meter, Share};
use crate::types::Addr;

/// The most code objects that are copied in one stop, at some 2 µs each; those beyond are copied in the next.
const MAX_CODES: usize = 256;
/// The most rounds: the objects themselves, what they lead to, the types of that, and what is longer than was copied
/// with its beginning. Beyond those are strings whose characters lie elsewhere, and objects that begin just before a page's end.
const MAX_ROUNDS: usize = 8;
/// The most that is copied in one stop, in bytes: one location table as long as any that is read, and more.
const MAX_BYTES: usize = 24 << 20;

/// Copies of code objects and of what they lead to.
#[derive(Debug)]
pub struct NewCodeObjects {
    addresses: Vec<Addr>,
    copies: BatchedMemory,
}

impl Default for NewCodeObjects {
    fn default() -> NewCodeObjects {
        NewCodeObjects { addresses: Vec::new(), copies: BatchedMemory::new(MAX_BYTES) }
    }
}

impl NewCodeObjects {
    /// Forgets all copies.
    pub fn clear(&mut self) {
        *self = NewCodeObjects::default();
    }

    /// Copies the code objects at `addresses`, which are in no other copy.
    pub fn copy(&mut self, memory: &dyn BulkMemory, layout: &Layout, addresses: impl Iterator<Item = Addr>) {
        let mut met = FxHashSet::default();
        self.addresses.extend(addresses.filter(|address| met.insert(*address)).take(MAX_CODES));
        let mut incomplete = self.addresses.clone();
        for _ in 0..MAX_ROUNDS {
            let copies = &self.copies;
            incomplete.retain(|code| copies.has_misses(|memory| CodeObject::prefetch(memory, layout, *code)));
            if !self.copies.fetch(memory) {
                break;
            }
        }
    }

    /// Reads them into a cache, as far as there is room.
    pub fn read_into(&self, codes: &mut CodeCache, layout: &Layout) {
        let mut room = Meter::new(Share::Sampling);
        // One that cannot be read is told by the frame that lacks it.
        let mut read = |code: &Addr| codes.read((self, layout), *code, &mut room);
        if self.addresses.iter().filter(|code| matches!(read(code), Ok(false))).count() > 0 {
            memory_budget::leave_out(Left::Other("names of Python functions".to_owned()));
        }
    }

    /// The addresses of what was copied.
    pub fn addresses(&self) -> &[Addr] {
        &self.addresses
    }
}

impl Memory for NewCodeObjects {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        self.copies.read(addr, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::layout::{Version, by_table};
    use crate::target::process_memory::ProcessMemory;
    use crate::types::Pid;

    #[test]
    fn garbage_in_the_place_of_code_costs_few_reads_and_gives_nothing() {
        let layout = by_table(Version::new(3, 12)).unwrap().unwrap();
        // Every pointer in it leads back into it.
        let mut garbage = vec![0_u64; 4096];
        let start = garbage.as_ptr() as u64;
        garbage.fill(start);
        let memory = ProcessMemory::new(Pid(std::process::id() as i32));
        let mut new = NewCodeObjects::default();
        let codes = (0..300).map(|n| Addr(start + 8 * n));
        new.copy(&memory, &layout, codes);
        assert_eq!(new.addresses().len(), MAX_CODES);
        assert!(memory.calls() <= MAX_ROUNDS as u64, "{}", memory.calls());
        assert!(new.addresses().iter().all(|code| CodeObject::read(&new, &layout, *code).is_err()));
    }
}
