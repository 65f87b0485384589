//! What to copy with a frame that is missing: those that are likely to be near it.
//!
//! Does: widen what is read around one missing frame after the other for as long as each is near the one before, as the kernel
//! reads ahead in files; so a chain of 100,000 frames takes some ten reads, whether they lie in the interpreter's chunks of frames
//! (16 KiB each, mapped one below the other) or are generators on the heap. Where frames are far apart it reads a page for each.
//! Does not: read.

use crate::capture::range::Range;
use crate::target::memory::PAGE;
use crate::types::Addr;

/// What is read of a frame that reaches beyond its page.
pub const FRAME_BYTES: u64 = 128;
/// Frames are near the ones before if they are no further away than two chunks: the walk leaves a chunk at its beginning, and
/// the next one's last frame is at most so far from there.
const NEAR: u64 = 32 << 10;
/// The widest that is read to each side.
const WIDEST: u64 = 1 << 20;
/// The most that is read in the hope that it is needed, in one capture: half of what is copied in all.
const MAX_HOPED_FOR: u64 = 32 << 20;

/// How wide the next read is.
#[derive(Debug, Default, Clone)]
pub struct ReadAround {
    /// What was asked for last.
    start: u64,
    end: u64,
    width: u64,
    hoped_for: u64,
}

impl ReadAround {
    /// Adds what to copy for a missing frame.
    pub fn frame(&mut self, frame: Addr, out: &mut Vec<Range>) {
        let reach = self.width.max(NEAR);
        let is_near = self.width > 0
            && (self.start.saturating_sub(reach)..self.end.saturating_add(reach)).contains(&frame.0)
            && self.hoped_for < MAX_HOPED_FOR;
        self.width = if is_near { (self.width * 2).min(WIDEST) } else { PAGE };
        let page = frame.0 & !(PAGE - 1);
        let above = page.saturating_add(self.width).max(frame.0.saturating_add(FRAME_BYTES));
        out.push(Range::between(page, above));
        // Memory may begin anywhere below: what cannot be read from its beginning on takes no more than itself with it.
        let mut step = PAGE;
        let (mut below, lowest) = (page, page.saturating_sub(self.width));
        while below > lowest && self.width > PAGE {
            let end = below;
            below = below.saturating_sub(step).max(lowest);
            out.push(Range::between(below, end));
            step *= 2;
        }
        let known = self.end.min(above).saturating_sub(self.start.max(below));
        self.hoped_for += (above - below).saturating_sub(known + PAGE);
        (self.start, self.end) = (below, above);
    }
}

/// The pages that these frames lie in, in as few ranges as there can be.
pub fn used_pages(frames: impl Iterator<Item = Addr>) -> Vec<Range> {
    let mut pages: Vec<(u64, u64)> = Vec::new();
    for frame in frames {
        let start = frame.0 & !(PAGE - 1);
        let end = start.saturating_add(PAGE).max(frame.0.saturating_add(FRAME_BYTES));
        match pages.last_mut() {
            // Neighbours in the chain are neighbours in memory.
            Some(last) if last.0 == start => last.1 = last.1.max(end),
            _ => pages.push((start, end)),
        }
    }
    pages.sort_unstable();
    let mut ranges: Vec<Range> = Vec::new();
    for (start, end) in pages {
        match ranges.last_mut() {
            Some(last) if start <= last.end() => *last = Range::between(last.start.0, end.max(last.end())),
            _ => ranges.push(Range::between(start, end)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range {
        Range::between(start, end)
    }

    /// How many reads it takes to have all of `frames`, which lie in memory that is readable everywhere, and how many bytes.
    fn reads(frames: impl Iterator<Item = u64>) -> (usize, u64) {
        let (mut around, mut have, mut count) = (ReadAround::default(), Vec::<Range>::new(), 0);
        for frame in frames {
            if !have.iter().any(|range| range.holds(Addr(frame)) && range.holds(Addr(frame + FRAME_BYTES - 1))) {
                around.frame(Addr(frame), &mut have);
                count += 1;
            }
        }
        (count, have.iter().map(|range| range.len as u64).sum())
    }

    #[test]
    fn one_frame_is_one_page() {
        let mut ranges = Vec::new();
        ReadAround::default().frame(Addr(0x5010), &mut ranges);
        assert_eq!(ranges, [range(0x5000, 0x6000)]);
        ranges.clear();
        ReadAround::default().frame(Addr(0x5ff0), &mut ranges);
        assert_eq!(ranges, [range(0x5000, 0x6070)], "and what reaches beyond it");
    }

    #[test]
    fn a_deep_chain_takes_few_reads() {
        let frame = |n: u64| (n * 128) % (16 << 10);
        // Chunks, the innermost first and at the lowest address; within each the innermost frame is at the highest.
        let chunks =
            (0..150_000_u64).map(|n| (1 << 30) + n * 128 / (16 << 10) * (16 << 10) + (16 << 10) - 128 - frame(n));
        let (count, _) = reads(chunks);
        assert!(count <= 40, "{count}");
        let generators = (0..20_000_u64).map(|n| (1 << 40) - n * 256);
        let (count, _) = reads(generators);
        assert!(count <= 20, "{count}");
    }

    #[test]
    fn frames_that_are_far_apart_are_a_page_each() {
        let (count, bytes) = reads((0..1000_u64).map(|n| (1 << 40) + n * (1 << 20)));
        assert_eq!((count, bytes), (1000, 1000 * PAGE));
    }

    #[test]
    fn what_is_read_in_hope_is_bounded_and_no_address_is_too_odd() {
        let (_, bytes) = reads((0..4000_u64).map(|n| (1 << 40) + n * (60 << 10)));
        assert!(bytes <= MAX_HOPED_FOR + 2 * WIDEST + 4000 * (PAGE + FRAME_BYTES), "{bytes}");
        let (mut around, mut out) = (ReadAround::default(), Vec::new());
        for frame in [0, u64::MAX, u64::MAX - 5000, 8, 4096] {
            around.frame(Addr(frame), &mut out);
        }
    }

    #[test]
    fn the_pages_of_frames_are_joined() {
        let frames = [0x9010, 0x9200, 0x3000, 0x2f00, 0x2fc0, 0x3400, 0x9000].map(Addr);
        assert_eq!(used_pages(frames.into_iter()), [range(0x2000, 0x4000), range(0x9000, 0xa000)]);
        assert_eq!(used_pages([Addr(0x2fc0)].into_iter()), [range(0x2000, 0x3040)]);
    }
}
