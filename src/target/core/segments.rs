//! The memory of a process as its core file holds it.
//!
//! Does: read it by the file's ranges; what the core leaves out of a file that was mapped, from that file, where
//! [`files`](super::files) has found it to be the same.
//! Does not: keep what was read, or take what is in no file for zero.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bytes::{CoreBytes, read_at};
use super::header::Load;
use crate::target::memory::{BulkMemory, Memory, RangeRead, ReadError};
use crate::types::Addr;

/// A range of memory that the process had not changed since it was mapped: its bytes are a file's.
#[derive(Debug, Clone)]
pub struct FileBacked {
    /// Its first address.
    pub start: Addr,
    /// The address behind its last.
    pub end: Addr,
    /// The file.
    pub file: Arc<File>,
    /// Where in the file it begins.
    pub offset: u64,
}

/// How much of a core file is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes of memory the headers promise.
    pub promised: u64,
    /// How many of them the file ends before.
    pub missing: u64,
}

/// The memory of a core file.
#[derive(Debug)]
pub struct CoreMemory {
    bytes: CoreBytes,
    loads: Vec<Load>,
    /// By address; none overlaps another.
    backed: Vec<FileBacked>,
    calls: AtomicU64,
}

impl CoreMemory {
    /// The memory at these ranges, which are sorted and do not overlap.
    pub fn new(bytes: CoreBytes, loads: Vec<Load>) -> CoreMemory {
        CoreMemory { bytes, loads, backed: Vec::new(), calls: AtomicU64::new(0) }
    }

    /// Reads these ranges from files where the core does not hold them.
    pub fn back(&mut self, mut backed: Vec<FileBacked>) {
        backed.sort_by_key(|range| range.start);
        let mut end = Addr::NULL;
        backed.retain(|range| {
            let is_apart = range.start >= end && range.end > range.start;
            end = if is_apart { range.end } else { end };
            is_apart
        });
        self.backed = backed;
    }

    /// The ranges.
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// The range that holds an address.
    pub fn load_at(&self, addr: Addr) -> Option<&Load> {
        let index = self.loads.partition_point(|load| load.end <= addr);
        self.loads.get(index).filter(|load| load.start <= addr)
    }

    /// How much of the memory the file ends before.
    pub fn cut(&self) -> Cut {
        let len = self.bytes.len();
        self.loads.iter().fold(Cut::default(), |cut, load| {
            let there = len.saturating_sub(load.offset).min(load.held);
            Cut {
                promised: cut.promised.saturating_add(load.held),
                missing: cut.missing.saturating_add(load.held - there),
            }
        })
    }

    /// Fills as much of `into` as the core itself holds from `addr` on, and returns how much that is.
    pub fn read_held(&self, addr: Addr, into: &mut [u8]) -> usize {
        self.fill(addr, into, |at, rest| self.read_core(at, rest))
    }

    /// Calls `step` for what is left of `into` until it has nothing more.
    fn fill(&self, addr: Addr, into: &mut [u8], step: impl Fn(Addr, &mut [u8]) -> usize) -> usize {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = addr.checked_add(done as u64) else { break };
            match step(at, rest) {
                0 => break,
                more => done += more,
            }
        }
        done
    }

    fn read_core(&self, addr: Addr, into: &mut [u8]) -> usize {
        let Some(load) = self.load_at(addr) else { return 0 };
        let inside = addr.0 - load.start.0;
        let held = load.held.saturating_sub(inside);
        let Some(offset) = load.offset.checked_add(inside).filter(|_| held > 0) else { return 0 };
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.read_at(offset, prefix(into, held))
    }

    fn read_backing(&self, addr: Addr, into: &mut [u8]) -> usize {
        let index = self.backed.partition_point(|range| range.end <= addr);
        let Some(range) = self.backed.get(index).filter(|range| range.start <= addr) else { return 0 };
        let inside = addr.0 - range.start.0;
        let Some(offset) = range.offset.checked_add(inside) else { return 0 };
        // What the core holds behind it goes before the file.
        let next = self.loads.partition_point(|load| load.start <= addr);
        let until = self.loads.get(next).map_or(range.end, |load| load.start.min(range.end));
        self.calls.fetch_add(1, Ordering::Relaxed);
        read_at(&range.file, offset, prefix(into, until.0 - addr.0))
    }
}

fn prefix(into: &mut [u8], len: u64) -> &mut [u8] {
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(into.len());
    into.get_mut(..len).unwrap_or_default()
}

impl Memory for CoreMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        match self.read_ranges(&mut [RangeRead { addr, into: buf }]) {
            copied if copied == len => Ok(()),
            _ => Err(ReadError { addr, len }),
        }
    }
}

impl BulkMemory for CoreMemory {
    fn read_ranges(&self, ranges: &mut [RangeRead<'_>]) -> usize {
        let mut total = 0;
        for range in ranges {
            let copied = self.fill(range.addr, range.into, |at, rest| match self.read_core(at, rest) {
                0 => self.read_backing(at, rest),
                copied => copied,
            });
            total += copied;
            if copied < range.into.len() {
                break;
            }
        }
        total
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(start: u64, size: u64, offset: u64, held: u64) -> Load {
        let (start, end) = (Addr(start), Addr(start + size));
        Load { start, end, offset, held, readable: true, writable: false, executable: false }
    }

    fn read(memory: &CoreMemory, addr: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0xee; len];
        let copied = memory.read_ranges(&mut [RangeRead { addr: Addr(addr), into: &mut bytes }]);
        bytes.truncate(copied);
        bytes
    }

    /// Two ranges that touch, of which the second is not held whole.
    fn memory() -> CoreMemory {
        let bytes: Vec<u8> = (0..32).collect();
        CoreMemory::new(CoreBytes::Bytes(bytes), vec![load(0x1000, 8, 16, 8), load(0x1008, 24, 4, 4)])
    }

    #[test]
    fn memory_is_read_across_ranges_up_to_what_the_core_does_not_hold() {
        assert_eq!(read(&memory(), 0x1006, 4), [22, 23, 4, 5]);
        assert_eq!(read(&memory(), 0x1006, 64), [22, 23, 4, 5, 6, 7], "what is left out is not zero");
        assert!(read(&memory(), 0xfff, 4).is_empty() && read(&memory(), u64::MAX, 4).is_empty());
        assert_eq!(memory().read(Addr(0x1006), &mut [0; 64]), Err(ReadError { addr: Addr(0x1006), len: 64 }));
    }

    #[test]
    fn a_file_that_is_cut_ends_its_memory() {
        let memory =
            CoreMemory::new(CoreBytes::Bytes(vec![1; 20]), vec![load(0x1000, 8, 16, 8), load(0x2000, 8, 24, 8)]);
        assert_eq!((read(&memory, 0x1000, 8).len(), read(&memory, 0x2000, 8).len()), (4, 0));
        assert_eq!(memory.cut(), Cut { promised: 16, missing: 12 });
    }

    #[test]
    fn what_the_core_leaves_out_is_read_from_the_file_up_to_what_it_holds() {
        let path = std::env::temp_dir().join(format!("fpprof-core-segments-{}", std::process::id()));
        File::create(&path).unwrap().write_all(&[0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7]).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        let mut memory = memory();
        memory.back(vec![FileBacked { start: Addr(0x100c), end: Addr(0x1012), file: Arc::clone(&file), offset: 1 }]);
        assert_eq!(read(&memory, 0x100a, 64), [6, 7, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6]);
        let mut bytes = [0; 8];
        assert_eq!(memory.read_held(Addr(0x100a), &mut bytes), 2);
        // Before a range, and into it.
        memory.back(vec![FileBacked { start: Addr(0xffe), end: Addr(0x1004), file, offset: 0 }]);
        assert_eq!(read(&memory, 0xffe, 4), [0xf0, 0xf1, 16, 17]);
    }
}
