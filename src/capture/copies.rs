//! Copies of many ranges of the target's memory, read as one address space.
//!
//! Does: keep the copies of one capture in buffers that the next one fills again, in the order of their addresses, so that a read
//! is served in the same time however many there are. Bounded in bytes.
//! Does not: choose what to copy.

use memmap2::{Advice, MmapMut};

use super::range::Range;
use crate::target::memory::{BulkMemory, RangeRead};
use crate::target::memory_budget::{self, Left, Share};
use crate::types::Addr;

/// The most bytes that one capture copies beside the stack: half a million frames of the usual size. The thread stands still for
/// some 15 ms while they are copied.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Ranges are copied in parts that end where an address is a multiple of this: memory that was unmapped since the last capture
/// takes no more than its own part with it, and the parts of a range that has grown stay the same.
const PART: u64 = 64 << 10;
/// The first buffer, in bytes. Most captures need no other.
const FIRST_BUFFER: usize = 128 << 10;
/// All further buffers are huge pages of the x86-64 and AArch64 kernels: copying into small ones takes four times as long where
/// there are more than a hundred of them (the processor's first table of pages is no larger).
const HUGE_PAGE: usize = 2 << 20;
/// Copies begin as far into a cache line as the originals.
const CACHE_LINE: usize = 64;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Copies {
    buffers: Vec<Buffer>,
    /// By their addresses. They do not overlap.
    parts: Vec<Part>,
    /// Where the next part goes: the buffer, and how much of it is taken.
    next: (usize, usize),
    bytes: usize,
    /// What is being copied, and how much of each has arrived: kept for its memory.
    asked: Vec<Part>,
    filled: Vec<usize>,
}

#[derive(Debug)]
struct Buffer {
    map: MmapMut,
    /// What is used of the mapping.
    start: usize,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    range: Range,
    buffer: usize,
    offset: usize,
}

impl Buffer {
    fn new(is_first: bool) -> Option<Buffer> {
        if is_first {
            return Some(Buffer { map: MmapMut::map_anon(FIRST_BUFFER).ok()?, start: 0, len: FIRST_BUFFER });
        }
        // Twice as much of the address space has a whole huge page in it. What lies around that page is never touched.
        let map = MmapMut::map_anon(2 * HUGE_PAGE).ok()?;
        // A kernel without huge pages refuses: then the pages are small.
        let _ = map.advise(Advice::HugePage);
        let start = map.as_ptr().align_offset(HUGE_PAGE).min(HUGE_PAGE);
        Some(Buffer { map, start, len: HUGE_PAGE })
    }

    fn bytes(&self) -> &[u8] {
        self.map.get(self.start..self.start + self.len).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.map.get_mut(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl Copies {
    /// Forgets the copies and keeps their buffers.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        (self.next, self.bytes) = ((0, 0), 0);
    }

    /// Copies what of `ranges` is not there yet, and `first` before it, with as few system calls as there can be; returns how much
    /// of `first` could be read. What cannot be read, or is more than [`MAX_BYTES`], is left out.
    pub(super) fn add(&mut self, memory: &dyn BulkMemory, first: Option<RangeRead<'_>>, ranges: &[Range]) -> usize {
        self.ask(ranges);
        let Copies { buffers, parts, asked, filled, .. } = self;
        let mut reads: Vec<RangeRead<'_>> = Vec::with_capacity(asked.len() + 1);
        let has_first = first.is_some();
        reads.extend(first);
        let mut to_place = asked.iter().peekable();
        for (index, buffer) in buffers.iter_mut().enumerate() {
            // Parts are placed one behind the other.
            let (mut rest, mut at) = (buffer.bytes_mut(), 0);
            while let Some(part) = to_place.next_if(|part| part.buffer == index) {
                let (into, behind) = rest.split_at_mut(part.offset - at).1.split_at_mut(part.range.len);
                (rest, at) = (behind, part.offset + part.range.len);
                reads.push(RangeRead { addr: part.range.start, into });
            }
        }
        memory.read_each(&mut reads, filled);
        let (of_first, of_parts) = filled.split_at(usize::from(has_first).min(filled.len()));
        for (part, len) in asked.iter_mut().zip(of_parts) {
            part.range.len = *len;
        }
        let is_behind =
            parts.last().zip(asked.first()).is_none_or(|(last, first)| last.range.start < first.range.start);
        parts.extend(asked.iter().filter(|part| part.range.len > 0));
        if !is_behind {
            // Two runs that are in order: this finds and joins them.
            parts.sort_by_key(|part| part.range.start);
        }
        of_first.first().copied().unwrap_or(0)
    }

    /// Whether no more can be copied.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    /// Places what is not there yet of `ranges`, in the order of the addresses.
    fn ask(&mut self, ranges: &[Range]) {
        self.asked.clear();
        let mut sorted: Vec<Range>;
        let ranges = if ranges.is_sorted_by_key(|range| range.start) {
            ranges
        } else {
            sorted = ranges.to_vec();
            sorted.sort_unstable_by_key(|range| range.start);
            &sorted
        };
        let mut reached = 0;
        for range in ranges {
            let mut at = range.start.0.max(reached);
            reached = range.end().max(reached);
            let mut known = self.parts.partition_point(|part| part.range.end() <= at);
            while at < range.end() {
                let next = self.parts.get(known).map_or(u64::MAX, |part| part.range.start.0);
                let end = range.end().min(next);
                if !self.place(Addr(at.min(end)), end) {
                    return;
                }
                at = self.parts.get(known).map_or(end, |part| end.max(part.range.end()));
                known += 1;
            }
        }
    }

    /// Places the parts of a range. Returns whether there was room.
    fn place(&mut self, start: Addr, end: u64) -> bool {
        let mut at = start.0;
        while at < end {
            let part_end = (at | (PART - 1)).saturating_add(1).min(end);
            let len = (part_end - at) as usize;
            if len > MAX_BYTES.saturating_sub(self.bytes) {
                self.bytes = MAX_BYTES;
                return false;
            }
            let Some((buffer, offset)) = self.room(at, len) else {
                self.bytes = MAX_BYTES;
                return false;
            };
            self.asked.push(Part { range: Range { start: Addr(at), len }, buffer, offset });
            self.bytes += len;
            at = part_end;
        }
        true
    }

    fn room(&mut self, start: u64, len: usize) -> Option<(usize, usize)> {
        loop {
            let (index, taken) = self.next;
            if index == self.buffers.len() {
                // What is made of the copies takes up to three times as much again: frames, as they are read and as they are counted.
                if index > 0 && !memory_budget::fits((index * 3 * HUGE_PAGE) as u64, Share::All) {
                    memory_budget::leave_out(Left::Other("outer frames of deep stacks".to_owned()));
                    return None;
                }
                self.buffers.push(Buffer::new(index == 0)?);
            }
            let offset = taken.next_multiple_of(CACHE_LINE) + start as usize % CACHE_LINE;
            if offset + len <= self.buffers.get(index)?.len {
                self.next = (index, offset + len);
                return Some((index, offset));
            }
            self.next = (index + 1, 0);
        }
    }

    /// The part that has the byte at `addr`, and where it begins.
    pub(super) fn around(&self, addr: Addr) -> Option<(Addr, &[u8])> {
        let index = self.parts.partition_point(|part| part.range.start <= addr).checked_sub(1)?;
        let Part { range, buffer, offset } = self.parts.get(index).filter(|part| part.range.holds(addr))?;
        Some((range.start, self.buffers.get(*buffer)?.bytes().get(*offset..offset + range.len)?))
    }

    /// Fills `buf` from as many parts as it takes; returns whether they have all of it.
    pub(super) fn read(&self, addr: Addr, buf: &mut [u8]) -> bool {
        let mut done = 0;
        while done < buf.len() {
            let at = addr.wrapping_add(done as u64);
            let Some((start, bytes)) = self.around(at) else { return false };
            let bytes = bytes.get((at.0 - start.0) as usize..).unwrap_or_default();
            let len = (buf.len() - done).min(bytes.len());
            buf[done..done + len].copy_from_slice(&bytes[..len]);
            done += len;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::process_memory::ProcessMemory;
    use crate::types::Pid;

    fn own() -> ProcessMemory {
        ProcessMemory::new(Pid(std::process::id() as i32))
    }

    fn range(start: u64, len: usize) -> Range {
        Range { start: Addr(start), len }
    }

    /// Bytes that tell their own place, and where they begin.
    fn numbered(len: usize) -> (Vec<u8>, u64) {
        let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        let start = bytes.as_ptr() as u64;
        (bytes, start)
    }

    fn read(copies: &Copies, addr: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        copies.read(Addr(addr), &mut bytes).then_some(bytes)
    }

    #[test]
    fn ranges_in_any_order_that_overlap_are_one_address_space_and_one_call() {
        let (bytes, start) = numbered(1 << 20);
        let (memory, mut copies) = (own(), Copies::default());
        copies.add(&memory, None, &[range(start + 5000, 700_000), range(start, 6000), range(start + 100, 50)]);
        assert_eq!(memory.calls(), 1);
        assert_eq!(read(&copies, start, 705_000).as_deref(), Some(&bytes[..705_000]));
        assert_eq!(read(&copies, start, 705_001), None);
        let before = copies.bytes;
        copies.add(&memory, None, &[range(start + 300, 705_000)]);
        assert_eq!(copies.bytes, before + 300, "what is there is not copied again");
        assert_eq!(read(&copies, start, 705_300).as_deref(), Some(&bytes[..705_300]));
    }

    #[test]
    fn a_part_is_lent_whole() {
        let (bytes, start) = numbered(4096);
        let mut copies = Copies::default();
        copies.add(&own(), None, &[range(start, 64), range(start + 1024, 64)]);
        assert_eq!(copies.around(Addr(start + 1030)), Some((Addr(start + 1024), &bytes[1024..1088])));
        assert_eq!((copies.around(Addr(start + 64)), copies.around(Addr(start - 1))), (None, None));
        copies.clear();
        assert_eq!(copies.around(Addr(start)), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_the_rest_is_there() {
        let (bytes, start) = numbered(64);
        let mut copies = Copies::default();
        let mut first = [0; 8];
        let of_first = RangeRead { addr: Addr(8), into: &mut first };
        assert_eq!(copies.add(&own(), Some(of_first), &[range(16, 3 << 16), range(start, 64)]), 0);
        assert_eq!(read(&copies, start, 64).as_deref(), Some(&bytes[..]));
        assert_eq!(read(&copies, 16, 1), None);
    }

    #[test]
    fn no_more_is_copied_than_the_bound() {
        let (memory, mut copies) = (own(), Copies::default());
        copies.add(&memory, None, &[range(1 << 16, usize::MAX)]);
        assert!(copies.is_full());
        assert!(copies.buffers.len() <= 2 + MAX_BYTES / HUGE_PAGE * 2);
        copies.clear();
        assert!(!copies.is_full());
    }
}
