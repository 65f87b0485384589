//! Restarting a native walk that failed, at the innermost evaluation that the interpreter's markers show.
//!
//! Does: learn from clean stacks where the marker lies in an evaluation's native frame (CFA − marker is a constant
//! of the binary: 0xa0 in one build, 0x100 in another), and say where the frame of a marker must then end.
//! Does not: walk. Pure.

use super::{MergedFrame, MergedStack};
use crate::python::stack::{PythonEntry, PythonStack};
use crate::types::Addr;
use crate::unwind::stack::{NativeStack, StackEnd};

/// The distance must have been seen so often before it is used, and each time the same.
const ENOUGH: u32 = 3;

/// What has been learned of one target's evaluation frames.
#[derive(Debug, Clone, Default)]
pub struct MarkerDistance {
    /// CFA − marker, in bytes, and how often it has been seen in a row.
    seen: Option<(u64, u32)>,
}

impl MarkerDistance {
    /// Learns from a stack that was merged without a gap.
    pub fn learn(&mut self, stack: &MergedStack, python: &PythonStack) {
        if stack.gaps().next().is_some() {
            return;
        }
        let mut markers = python.entries.iter().filter_map(|e| match e {
            PythonEntry::Marker(addr) => Some(*addr),
            PythonEntry::Frame(_) => None,
        });
        for frame in &stack.frames {
            if let MergedFrame::Native { frame, evaluation: true } = frame
                && let Some(marker) = markers.next()
                && let Some(distance) = frame.cfa.0.checked_sub(marker.0)
            {
                let count = match self.seen {
                    Some((known, count)) if known == distance => count.saturating_add(1),
                    _ => 1,
                };
                self.seen = Some((distance, count));
            }
        }
    }

    /// CFA − marker, once it is certain.
    pub fn distance(&self) -> Option<u64> {
        self.seen.filter(|(_, count)| *count >= ENOUGH).map(|(distance, _)| distance)
    }

    /// Where the innermost evaluation that a failed walk did not reach must end: its CFA.
    pub fn restart_at(&self, failed: &NativeStack, python: &PythonStack) -> Option<Addr> {
        if failed.end == StackEnd::ThreadEntry {
            return None;
        }
        let reached = failed.frames.last().map_or(Addr::NULL, |f| f.cfa.max(f.sp));
        let marker = python.entries.iter().find_map(|entry| match entry {
            PythonEntry::Marker(addr) if *addr >= reached => Some(*addr),
            _ => None,
        })?;
        marker.checked_add(self.distance()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::merge;
    use crate::python::stack::{ChainEnd, PythonFrame};
    use crate::unwind::stack::NativeFrame;

    fn clean(marker: u64, cfa: u64) -> (NativeStack, PythonStack) {
        let frame = NativeFrame { pc: Addr(1), is_return_address: false, sp: Addr(0x100), cfa: Addr(cfa) };
        let python = PythonFrame { frame: Addr(1), code: Addr(1), instruction_offset: None };
        let entries = vec![PythonEntry::Frame(python), PythonEntry::Marker(Addr(marker))];
        (NativeStack { frames: vec![frame], end: StackEnd::ThreadEntry }, PythonStack { entries, end: ChainEnd::Root })
    }

    fn learn(learned: &mut MarkerDistance, marker: u64, cfa: u64) {
        let (native, python) = clean(marker, cfa);
        let mut merged = MergedStack::default();
        merge(&[native], Some(&python), &mut merged);
        learned.learn(&merged, &python);
    }

    #[test]
    fn a_distance_is_used_only_when_it_was_seen_again_and_again() {
        let mut learned = MarkerDistance::default();
        learn(&mut learned, 0x180, 0x200);
        learn(&mut learned, 0x180, 0x200);
        assert_eq!(learned.distance(), None);
        learn(&mut learned, 0x190, 0x210);
        assert_eq!(learned.distance(), Some(0x80));
        learn(&mut learned, 0x180, 0x240);
        assert_eq!(learned.distance(), None, "a contradiction makes it uncertain again");
    }

    #[test]
    fn a_walk_restarts_at_the_first_marker_that_it_did_not_reach() {
        let mut learned = MarkerDistance::default();
        (0..3).for_each(|_| learn(&mut learned, 0x180, 0x200));
        let (mut failed, mut python) = clean(0x180, 0x200);
        assert_eq!(learned.restart_at(&failed, &python), None, "a complete walk needs none");
        failed.end = StackEnd::UnknownRegister(Addr(1));
        python.entries.push(PythonEntry::Marker(Addr(0x300)));
        assert_eq!(learned.restart_at(&failed, &python), Some(Addr(0x380)));
    }
}
