//! The code objects that no sample has met before, copied while the thread that runs them stands still.
//!
//! Does: copy what they lead to in rounds, each with one bulk read for all of them: what the reader of code objects
//! lacks in the copy is what the next round asks for. So a stop takes some four reads more, not two dozen for each of them.
//! Does not: keep a code object, or decode its bytes for good: that is done when the thread runs again.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::python::code::CodeObject;
use crate::python::layout::Layout;
use crate::target::memory::{Memory, ReadError, Region};
use crate::target::process_memory::ProcessMemory;
use crate::types::Addr;

/// The most code objects that are copied in one stop, at some 2 µs each; those beyond are copied in the next.
const MAX_CODES: usize = 256;
/// The most rounds: the objects themselves, what they lead to, the types of that, and what is longer than was copied
/// with its beginning. Beyond those are strings whose characters lie elsewhere, and objects that begin just before a page's end.
const MAX_ROUNDS: usize = 8;
/// What is copied from where a read began: most names and location tables are no longer.
const READ_AHEAD: u64 = 512;
/// The most that is copied in one stop, in bytes: one location table as long as any that is read, and more.
const MAX_BYTES: usize = 24 << 20;
/// Memory can be read or not by whole pages. This is the smallest; those of 16 and 64 KiB (AArch64) consist of it.
const PAGE: u64 = 4096;

/// Copies of code objects and of what they lead to.
#[derive(Debug, Default)]
pub struct NewCodes {
    addresses: Vec<Addr>,
    /// By their first addresses.
    copies: BTreeMap<Addr, Copied>,
    /// What reads have lacked since the last round: lengths by first addresses.
    lacking: RefCell<BTreeMap<Addr, usize>>,
    bytes: usize,
}

#[derive(Debug)]
struct Copied {
    region: Region,
    /// More than there is if the rest cannot be read.
    asked: usize,
}

impl NewCodes {
    /// Forgets all copies.
    pub fn clear(&mut self) {
        *self = NewCodes::default();
    }

    /// Copies the code objects at `addresses`, which are in no other copy.
    pub fn copy(&mut self, memory: &ProcessMemory, layout: &Layout, addresses: impl Iterator<Item = Addr>) {
        for address in addresses {
            if self.addresses.len() < MAX_CODES && !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
        let mut incomplete = self.addresses.clone();
        for _ in 0..MAX_ROUNDS {
            incomplete.retain(|code| {
                let before = self.lacking.take();
                CodeObject::touch(&*self, layout, *code);
                let lacks = !self.lacking.borrow().is_empty();
                for (start, len) in before {
                    self.lack(start, len);
                }
                lacks
            });
            if !self.fetch(memory) {
                break;
            }
        }
    }

    /// The addresses of what was copied.
    pub fn addresses(&self) -> &[Addr] {
        &self.addresses
    }

    /// Copies what reads have lacked; gives whether there was anything that can be copied.
    fn fetch(&mut self, memory: &ProcessMemory) -> bool {
        let mut wanted = Vec::new();
        for (start, asked) in self.lacking.take() {
            let is_tried = self.copies.get(&start).is_some_and(|copied| copied.asked >= asked);
            if !is_tried && asked <= MAX_BYTES.saturating_sub(self.bytes) {
                self.bytes += asked;
                wanted.push(Copied { region: Region { start, bytes: vec![0; asked] }, asked });
            }
        }
        memory.read_regions(&mut wanted.iter_mut().map(|copied| &mut copied.region).collect::<Vec<_>>());
        let any = !wanted.is_empty();
        self.copies.extend(wanted.into_iter().map(|copied| (copied.region.start, copied)));
        any
    }

    fn lack(&self, start: Addr, len: usize) {
        let mut lacking = self.lacking.borrow_mut();
        let longest = lacking.entry(start).or_default();
        *longest = len.max(*longest);
    }
}

impl Memory for NewCodes {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        // Objects do not overlap: the copy that begins last before it is the one of what is read.
        let copied = self.copies.range(..=addr).next_back();
        if let Some(bytes) = copied.and_then(|(_, copied)| copied.region.slice(addr, len)) {
            buf.copy_from_slice(bytes);
            return Ok(());
        }
        let to_page_end = PAGE - addr.0 % PAGE;
        self.lack(addr, len.max(READ_AHEAD.min(to_page_end) as usize));
        Err(ReadError { addr, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Pid;

    fn own_memory() -> ProcessMemory {
        ProcessMemory::new(Pid(std::process::id() as i32))
    }

    fn address(bytes: &[u8]) -> Addr {
        Addr(bytes.as_ptr() as u64)
    }

    #[test]
    fn what_reads_lack_is_copied_in_one_call() {
        let (first, second) = (vec![1; 600], vec![2; 40]);
        let (memory, mut copies) = (own_memory(), NewCodes::default());
        for bytes in [&first, &second] {
            assert!(copies.read_vec(address(bytes), bytes.len()).is_err());
        }
        assert!(copies.fetch(&memory));
        assert_eq!(memory.calls(), 1);
        for bytes in [&first, &second] {
            assert_eq!(copies.read_vec(address(bytes), bytes.len()).as_ref(), Ok(bytes));
        }
        assert!(!copies.fetch(&memory), "nothing is lacking any more");
    }

    #[test]
    fn what_cannot_be_read_is_asked_for_once() {
        let (memory, mut copies) = (own_memory(), NewCodes::default());
        assert!(copies.read_u64(Addr(8)).is_err());
        assert!(copies.fetch(&memory));
        assert!(copies.read_u64(Addr(8)).is_err());
        assert!(!copies.fetch(&memory));
    }

    #[test]
    fn no_more_is_copied_than_the_bound() {
        let (memory, mut copies) = (own_memory(), NewCodes::default());
        assert!(copies.read_vec(Addr(PAGE), MAX_BYTES + 1).is_err());
        assert!(!copies.fetch(&memory));
        assert_eq!(memory.calls(), 0);
    }

    #[test]
    fn garbage_in_the_place_of_code_costs_few_reads_and_gives_nothing() {
        let layout = crate::python::layout::by_table(crate::python::layout::Version::new(3, 12)).unwrap().unwrap();
        // Every pointer in it leads back into it.
        let mut garbage = vec![0_u64; 4096];
        let start = garbage.as_ptr() as u64;
        garbage.fill(start);
        let (memory, mut copies) = (own_memory(), NewCodes::default());
        let codes = (0..300).map(|n| Addr(start + 8 * n));
        copies.copy(&memory, &layout, codes);
        assert_eq!(copies.addresses().len(), MAX_CODES);
        assert!(memory.calls() <= MAX_ROUNDS as u64, "{}", memory.calls());
        assert!(copies.addresses().iter().all(|code| CodeObject::read(&copies, &layout, *code).is_err()));
    }
}
