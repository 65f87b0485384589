//! Restarting a native walk that failed, at the innermost eval frame that the interpreter's markers show.
//!
//! Does: learn from clean stacks where the marker lies in an eval frame (CFA − marker is a constant of the binary:
//! 0xa0 in one build, 0x100 in another) and which code executes in it; say where the frame of a marker must then end.
//! Does not: walk. Pure.

use super::eval_code::EvalCode;
use super::{MergedFrame, MergedStack};
use crate::python::stack::{PythonEntry, PythonStack};
use crate::types::Addr;
use crate::unwind::stack::{NativeStack, StackEnd};

/// A layout must have been seen so often before it is used, and each time the same.
const ENOUGH: u32 = 3;

/// How an eval frame lies on the native stack: where it ends, by its marker, and what it keeps for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvalFrameLayout {
    /// CFA − marker, in bytes.
    pub distance: u64,
    /// Where the caller's frame pointer is saved, in bytes from the CFA; `None` when it is not saved there.
    pub saved_frame_pointer: Option<i32>,
}

/// A place to restart at: in the caller of an eval frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The CFA of the eval frame: the stack pointer of its caller.
    pub cfa: Addr,
    /// The address at which the caller's frame pointer is saved.
    pub saved_frame_pointer: Option<Addr>,
}

/// A model of how one target's eval frames lie on the native stack, learned from its samples.
#[derive(Debug, Clone, Default)]
pub struct EvalFrameModel {
    /// What was seen last, and how often in a row.
    seen: Option<(EvalFrameLayout, u32)>,
    /// The code that executes in them.
    code: EvalCode,
}

/// What the unwind tables say of an instruction in an eval frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvalInstruction {
    /// Where its frame saves the caller's frame pointer: see [`EvalFrameLayout::saved_frame_pointer`].
    pub saved_frame_pointer: Option<i32>,
    /// The extent `[start, end)` of its function, or of the part of it; absent where no table tells.
    pub function: Option<(Addr, Addr)>,
}

impl EvalFrameModel {
    /// What another has learned, and was certain of.
    pub fn known(frame: EvalFrameLayout) -> EvalFrameModel {
        EvalFrameModel { seen: Some((frame, ENOUGH)), code: EvalCode::default() }
    }

    /// The same model, which knows this code.
    #[must_use]
    pub fn with_code(self, code: EvalCode) -> EvalFrameModel {
        EvalFrameModel { code, ..self }
    }

    /// The code that executes in eval frames, as far as it is known.
    pub fn code(&self) -> &EvalCode {
        &self.code
    }

    /// Learns from a stack that was merged without a gap. `look_up` tells of an address inside the eval loop's function.
    pub fn learn(
        &mut self,
        stack: &MergedStack,
        python: &PythonStack,
        mut look_up: impl FnMut(Addr) -> Option<EvalInstruction>,
    ) {
        if stack.gaps().next().is_some() {
            return;
        }
        let mut markers = python.entries.iter().filter_map(PythonEntry::marker);
        for frame in &stack.frames {
            if let MergedFrame::Native { frame, is_eval_frame: true } = frame
                && let Some(marker) = markers.next()
                && let Some(distance) = frame.cfa.0.checked_sub(marker.0)
            {
                let instruction = look_up(frame.lookup_address());
                let saved_frame_pointer = instruction.and_then(|instruction| instruction.saved_frame_pointer);
                let frame = EvalFrameLayout { distance, saved_frame_pointer };
                let count = match self.seen {
                    Some((known, count)) if known == frame => count.saturating_add(1),
                    _ => 1,
                };
                self.seen = Some((frame, count));
                if count >= ENOUGH
                    && let Some((start, end)) = instruction.and_then(|instruction| instruction.function)
                {
                    self.code.add(start, end);
                }
            }
        }
    }

    /// How eval frames lie, if that is certain.
    pub fn certain(&self) -> Option<EvalFrameLayout> {
        self.seen.filter(|(_, count)| *count >= ENOUGH).map(|(frame, _)| frame)
    }

    /// Whether a walk that went on from something that was found, and not captured, has arrived where it must: at the
    /// end of the innermost eval frame at or above `from`, or, before that is certain, at the thread's
    /// entry.
    pub fn confirms(&self, walked: &NativeStack, from: Addr, python: Option<&PythonStack>) -> bool {
        let markers = python.iter().flat_map(|python| &python.entries);
        let marker = markers.into_iter().find_map(|entry| match entry {
            PythonEntry::Marker(addr) if *addr >= from => Some(*addr),
            _ => None,
        });
        match (marker, self.certain()) {
            (Some(marker), Some(frame)) => {
                let cfa = marker.checked_add(frame.distance);
                walked.frames.iter().any(|f| Some(f.cfa) == cfa && f.sp <= marker)
            }
            _ => walked.end == StackEnd::ThreadEntry,
        }
    }

    /// Where to restart a walk that failed: in the caller of the innermost eval frame that it did not reach.
    pub fn restart(&self, failed: &NativeStack, python: &PythonStack) -> Option<Restart> {
        if failed.end == StackEnd::ThreadEntry {
            return None;
        }
        let reached = failed.frames.last().map_or(Addr::NULL, |f| f.cfa.max(f.sp));
        let marker = python.entries.iter().find_map(|entry| match entry {
            PythonEntry::Marker(addr) if *addr >= reached => Some(*addr),
            _ => None,
        })?;
        let frame = self.certain()?;
        let cfa = marker.checked_add(frame.distance)?;
        let slot = |offset: i32| cfa.0.checked_add_signed(offset.into()).map(Addr);
        Some(Restart { cfa, saved_frame_pointer: frame.saved_frame_pointer.and_then(slot) })
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

    fn learn(learned: &mut EvalFrameModel, marker: u64, cfa: u64) {
        let (native, python) = clean(marker, cfa);
        let mut merged = MergedStack::default();
        merge(&[native], Some(&python), learned.code(), &mut merged);
        let function = Some((Addr(0), Addr(0x10)));
        learned.learn(&merged, &python, |_| Some(EvalInstruction { saved_frame_pointer: Some(-16), function }));
    }

    #[test]
    fn a_distance_is_used_only_when_it_was_seen_again_and_again() {
        let mut learned = EvalFrameModel::default();
        learn(&mut learned, 0x180, 0x200);
        learn(&mut learned, 0x180, 0x200);
        assert_eq!((learned.certain(), learned.code().parts()), (None, &[][..]));
        learn(&mut learned, 0x190, 0x210);
        assert_eq!(learned.certain().map(|f| f.distance), Some(0x80));
        assert_eq!(learned.code().parts(), [(Addr(0), Addr(0x10))]);
        learn(&mut learned, 0x180, 0x240);
        assert_eq!(learned.certain(), None, "a contradiction makes it uncertain again");
    }

    #[test]
    fn a_walk_restarts_at_the_first_marker_that_it_did_not_reach() {
        let mut learned = EvalFrameModel::default();
        (0..3).for_each(|_| learn(&mut learned, 0x180, 0x200));
        let (mut failed, mut python) = clean(0x180, 0x200);
        assert_eq!(learned.restart(&failed, &python), None, "a complete walk needs none");
        failed.end = StackEnd::UnknownRegister(Addr(1));
        python.entries.push(PythonEntry::Marker(Addr(0x300)));
        let expected = Restart { cfa: Addr(0x380), saved_frame_pointer: Some(Addr(0x370)) };
        assert_eq!(learned.restart(&failed, &python), Some(expected));
    }
}
