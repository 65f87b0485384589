//! Memory that fetches what its readers lack, in bulk.
//!
//! Does: serve reads from copies, note those that it cannot serve, and copy all that was noted with one read; in rounds, for what
//! was copied leads on. So a stop takes some reads more, not one or two for each object.
//! Does not: know what is read.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::target::memory::{BulkMemory, Memory, PAGE, ReadError, Region};
use crate::types::Addr;

/// What is copied from where a read began: most objects are no longer.
const READ_AHEAD: u64 = 512;

/// Copies of objects, and what they lead to.
#[derive(Debug)]
pub struct BatchedMemory {
    /// By their first addresses.
    copies: BTreeMap<Addr, Copied>,
    /// What reads have lacked since the last round: lengths by first addresses.
    lacking: RefCell<BTreeMap<Addr, usize>>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Copied {
    region: Region,
    /// More than there is if the rest cannot be read.
    asked: usize,
}

impl BatchedMemory {
    /// No copies yet, and never more than so many bytes.
    pub fn new(max_bytes: usize) -> BatchedMemory {
        BatchedMemory { copies: BTreeMap::new(), lacking: RefCell::default(), bytes: 0, max_bytes }
    }

    /// Forgets all copies.
    pub fn clear(&mut self) {
        *self = BatchedMemory::new(self.max_bytes);
    }

    /// Whether `read` lacks something. What it lacks is fetched in the next round.
    pub fn has_misses(&self, read: impl FnOnce(&BatchedMemory)) -> bool {
        let before = self.lacking.take();
        read(self);
        let has_misses = !self.lacking.borrow().is_empty();
        for (start, len) in before {
            self.lack(start, len);
        }
        has_misses
    }

    /// Copies what reads have lacked; returns whether there was anything that can be copied.
    pub fn fetch(&mut self, memory: &dyn BulkMemory) -> bool {
        let mut wanted = Vec::new();
        for (start, asked) in self.lacking.take() {
            let is_tried = self.copies.get(&start).is_some_and(|copied| copied.asked >= asked);
            if !is_tried && asked <= self.max_bytes.saturating_sub(self.bytes) {
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

impl Memory for BatchedMemory {
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
    use crate::target::process_memory::ProcessMemory;
    use crate::types::Pid;

    const MAX_BYTES: usize = 1 << 20;

    fn own_memory() -> ProcessMemory {
        ProcessMemory::new(Pid(std::process::id() as i32))
    }

    fn address(bytes: &[u8]) -> Addr {
        Addr(bytes.as_ptr() as u64)
    }

    #[test]
    fn what_reads_lack_is_copied_in_one_call() {
        let (first, second) = (vec![1; 600], vec![2; 40]);
        let (memory, mut copies) = (own_memory(), BatchedMemory::new(MAX_BYTES));
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
        let (memory, mut copies) = (own_memory(), BatchedMemory::new(MAX_BYTES));
        assert!(copies.read_u64(Addr(8)).is_err());
        assert!(copies.fetch(&memory));
        assert!(copies.read_u64(Addr(8)).is_err());
        assert!(!copies.fetch(&memory));
    }

    #[test]
    fn no_more_is_copied_than_the_bound() {
        let (memory, mut copies) = (own_memory(), BatchedMemory::new(MAX_BYTES));
        assert!(copies.read_vec(Addr(PAGE), MAX_BYTES + 1).is_err());
        assert!(!copies.fetch(&memory));
        assert_eq!(memory.calls(), 0);
    }
}
