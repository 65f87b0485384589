//! NativeStack + PythonStack -> one true stack, by address.
//!
//! Does: put the Python frames of each eval loop into the native frame that holds its marker (`sp <= marker < cfa`). It needs no
//! symbol names, so stripped, split and JIT interpreters all work. Where an eval frame is known and its Python frames are not, it
//! says so.
//! Does not: read memory, unwind, or name anything. Pure.

pub mod eval_code;
pub mod resync;

use eval_code::EvalCode;

use crate::python::stack::{ChainEnd, PythonEntry, PythonFrame, PythonStack};
use crate::types::Addr;
use crate::unwind::stack::{NativeFrame, NativeStack, StackEnd};

/// One frame of the merged stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MergedFrame {
    /// A native frame.
    Native {
        /// The frame.
        frame: NativeFrame,
        /// Whether it is an eval frame: that of the eval loop in which the Python frames before (inside) it run, or a gap in
        /// their place.
        is_eval_frame: bool,
    },
    /// A Python frame.
    Python(PythonFrame),
    /// Frames are missing here.
    Gap(Gap),
}

/// Why frames are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gap {
    /// The native walk ended before the thread's entry.
    Native(StackEnd),
    /// The interpreter's chain of frames ended before its root.
    Python(ChainEnd),
    /// Python frames whose eval loop is in no native frame: they stand where their address says.
    Unplaced(Addr),
    /// The Python frames of the eval frame at this stack pointer: the thread's state in the interpreter is not known, or does not
    /// tell of them.
    EvalLoop(Addr),
}

/// The merged stack of one thread, innermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergedStack {
    /// The frames.
    pub frames: Vec<MergedFrame>,
}

impl MergedStack {
    /// The Python frames, innermost first.
    pub fn python_frames(&self) -> impl Iterator<Item = PythonFrame> + '_ {
        self.frames.iter().filter_map(|f| if let MergedFrame::Python(frame) = f { Some(*frame) } else { None })
    }

    /// The gaps, innermost first: none in a complete stack.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> + '_ {
        self.frames.iter().filter_map(|f| if let MergedFrame::Gap(gap) = f { Some(*gap) } else { None })
    }

    /// Whether there is an eval frame whose Python frames could not be had.
    pub fn lacks_python(&self) -> bool {
        self.gaps().any(|gap| matches!(gap, Gap::EvalLoop(_)))
    }

    /// What the places of the Python frames say of whether they are this stack's. `is_eval_code` tells whether an instruction is
    /// one of the eval loop's function.
    pub fn placement(&self, is_eval_code: impl Fn(Addr) -> bool) -> Placement {
        let (mut placed, mut lacks_python) = (false, false);
        for frame in &self.frames {
            match frame {
                MergedFrame::Gap(Gap::Unplaced(_)) => return Placement::Contradicted,
                MergedFrame::Native { frame, is_eval_frame: true } if !lacks_python => {
                    if !is_eval_code(frame.lookup_address()) {
                        return Placement::Contradicted;
                    }
                    placed = true;
                }
                _ => {}
            }
            // The gap stands in front of its eval frame.
            lacks_python = matches!(frame, MergedFrame::Gap(Gap::EvalLoop(_)));
        }
        match placed {
            true => Placement::Proved,
            false if self.python_frames().next().is_some() => Placement::Open,
            false => Placement::NoFrames,
        }
    }
}

/// What the places of Python frames on a native stack say of whether both are of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// There are none.
    NoFrames,
    /// They are in eval frames, all that have a place.
    Proved,
    /// None of them has a place: the native stack is cut before their eval frames.
    Open,
    /// Some are where no eval frame is.
    Contradicted,
}

/// The Python frames of one eval loop, and its marker.
struct EvalLoop<'a> {
    frames: &'a [PythonEntry],
    /// Absent behind the chain's last marker.
    marker: Option<Addr>,
    /// Whether its outer frames are missing, because there were too many: what may follow are markers.
    is_cut: bool,
}

/// Merges native segments (more than one after a resync, innermost first) with a thread's Python stack, into `out`.
///
/// Between two segments, and behind the last if it is incomplete, there is a gap; so there is in an eval frame (one that
/// executes `eval_code`) without its Python frames.
pub fn merge(native: &[NativeStack], python: Option<&PythonStack>, eval_code: &EvalCode, out: &mut MergedStack) {
    out.frames.clear();
    let entries = python.map_or(&[][..], |p| &p.entries);
    let end = python.map(|p| p.end).filter(|end| *end != ChainEnd::Root);
    let last_frame = || entries.iter().rposition(|entry| entry.frame().is_some());
    let cut_behind = if end == Some(ChainEnd::TooDeep) { last_frame() } else { None };
    let mut eval_loops = eval_loops(entries, cut_behind).peekable();
    for (index, segment) in native.iter().enumerate() {
        for frame in &segment.frames {
            let mut is_eval_frame = false;
            while let Some(next) = eval_loops.next_if(|e| e.marker.is_some_and(|m| m < frame.cfa)) {
                if next.marker.is_some_and(|m| m < frame.sp) {
                    // Below this frame and in none before it.
                    push_unplaced(&next, index > 0 && !is_eval_frame, out);
                } else {
                    push_python(&next, out);
                    is_eval_frame = true;
                }
            }
            if !is_eval_frame && eval_code.holds(frame.lookup_address()) && lacks_python(out, python) {
                out.frames.push(MergedFrame::Gap(Gap::EvalLoop(frame.sp)));
                is_eval_frame = true;
            }
            out.frames.push(MergedFrame::Native { frame: *frame, is_eval_frame });
        }
        if segment.end != StackEnd::ThreadEntry {
            out.frames.push(MergedFrame::Gap(Gap::Native(segment.end)));
        }
    }
    let native_is_cut = native.last().is_none_or(|last| last.end != StackEnd::ThreadEntry);
    for rest in eval_loops {
        push_unplaced(&rest, native_is_cut, out);
    }
    if let Some(end) = end.filter(|_| cut_behind.is_none()) {
        out.frames.push(MergedFrame::Gap(Gap::Python(end)));
    }
}

/// Whether an eval frame without a marker, outside the frames in `inner`, should have Python frames.
///
/// In its own prologue and epilogue an eval loop has no marker, and calls nothing: so only the leaf may be without one, and
/// only where the chain is known. A chain that broke off has its own gap.
fn lacks_python(inner: &MergedStack, python: Option<&PythonStack>) -> bool {
    match python {
        None => true,
        Some(python) => python.end == ChainEnd::Root && !inner.frames.is_empty(),
    }
}

/// Python frames whose native frame is not there. Where a gap has already been told it explains them; elsewhere they
/// get one of their own, so that the stack counts as incomplete.
fn push_unplaced(eval_loop: &EvalLoop<'_>, explained: bool, out: &mut MergedStack) {
    let is_told = explained || eval_loop.is_cut && eval_loop.marker.is_none();
    if !is_told && let Some(first) = eval_loop.frames.first() {
        let addr = eval_loop.marker.unwrap_or(first.address());
        out.frames.push(MergedFrame::Gap(Gap::Unplaced(addr)));
    }
    push_python(eval_loop, out);
}

fn push_python(eval_loop: &EvalLoop<'_>, out: &mut MergedStack) {
    out.frames.extend(eval_loop.frames.iter().filter_map(PythonEntry::frame).copied().map(MergedFrame::Python));
    if eval_loop.is_cut {
        out.frames.push(MergedFrame::Gap(Gap::Python(ChainEnd::TooDeep)));
    }
}

/// `cut_behind`: the entry behind which frames are missing, because there were too many.
fn eval_loops(mut entries: &[PythonEntry], cut_behind: Option<usize>) -> impl Iterator<Item = EvalLoop<'_>> {
    let all = entries.len();
    std::iter::from_fn(move || {
        if entries.is_empty() {
            return None;
        }
        let marker_at = entries.iter().position(|e| matches!(e, PythonEntry::Marker(_)));
        let (frames, rest) = entries.split_at(marker_at.unwrap_or(entries.len()));
        let marker = rest.first().and_then(PythonEntry::marker);
        let first = all - entries.len();
        let is_cut = cut_behind.is_some_and(|last| (first..first + frames.len()).contains(&last));
        entries = rest.get(1..).unwrap_or_default();
        Some(EvalLoop { frames, marker, is_cut })
    })
}

#[cfg(test)]
mod tests;
