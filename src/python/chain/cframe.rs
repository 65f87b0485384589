//! The chain of 3.11 and 3.12: the thread state leads to the `_PyCFrame` of the innermost eval loop, and that to the innermost
//! frame.
//!
//! Does: tell where each eval loop's frames end, and leave an eval loop that is not linked yet.
//! Does not: read links.
//!
//! ```text
//!  PyThreadState            C stack                       frames
//!    cframe ──────────▶ _PyCFrame.current_frame ──▶ frame ─▶ frame with is_entry (3.11), or entry frame (3.12)
//!                            │ previous                            │ previous
//!                            ▼                                     ▼
//!                       _PyCFrame.current_frame ─────────────▶ frame ─▶ …        of the eval loop outside
//! ```
//!
//! An eval loop links its `_PyCFrame` before it sets the pointer to its first frame. Until then that pointer is whatever was on
//! the C stack, and the frames that really run are those of the eval loop outside.

use super::link::{Link, Step, pointer};
use crate::python::layout::{CFrameChain, CFrameEntry};
use crate::python::stack::{ChainEnd, PythonEntry};
use crate::target::memory::Memory;
use crate::types::Addr;

/// See the file.
#[derive(Debug, Clone)]
pub struct CFrameWalker {
    layout: CFrameChain,
    /// The `_PyCFrame` of the eval loop that the next frame runs in; on 3.12, where only the innermost one's is needed, of that.
    cframe: Addr,
    /// Whether no entry frame has been met.
    is_in_innermost: bool,
    /// Whether the innermost eval loop was left, because it is not linked yet. That can be once.
    has_left: bool,
}

impl CFrameWalker {
    /// A walker that has not begun.
    pub fn new(layout: CFrameChain) -> CFrameWalker {
        CFrameWalker { layout, cframe: Addr::NULL, is_in_innermost: true, has_left: false }
    }

    pub(super) fn start(&mut self, mem: &impl Memory, thread_state: Addr) -> Step<Addr> {
        self.cframe = pointer(mem, thread_state.wrapping_add(self.layout.cframe))?;
        let frame = self.frame_of(mem, self.cframe)?;
        if let CFrameEntry::Flag(_) = self.layout.entry {
            self.skip_empty_loop(mem, frame)?;
        }
        Ok(frame)
    }

    /// 3.11: an eval loop that is about to return has given up its last frame but is still linked. It has no frames: those that
    /// its `_PyCFrame` points to run in the eval loop outside it.
    fn skip_empty_loop(&mut self, mem: &impl Memory, frame: Addr) -> Step<()> {
        let outer = self.outer(mem)?;
        if !outer.is_null() && self.frame_of(mem, outer)? == frame {
            self.cframe = outer;
        }
        Ok(())
    }

    /// A null pointer ends the chain, unless it is one that the innermost eval loop has not set yet: then there is one outside.
    pub(super) fn has_ended(&self, mem: &impl Memory, frame: Addr) -> Step<bool> {
        if !frame.is_null() {
            return Ok(false);
        }
        if !self.has_left && self.is_in_innermost && !self.outer(mem)?.is_null() {
            return Err(ChainEnd::Torn(frame));
        }
        Ok(true)
    }

    pub(super) fn add(&mut self, mem: &impl Memory, link: &Link<'_>, entries: &mut Vec<PythonEntry>) -> Step<()> {
        match self.layout.entry {
            CFrameEntry::Owner(owner) if link.owner >= owner => {
                self.check_linked(mem, link)?;
                entries.push(PythonEntry::Marker(link.address));
                self.is_in_innermost = false;
            }
            CFrameEntry::Owner(_) => entries.push(PythonEntry::Frame(link.python_frame()?)),
            CFrameEntry::Flag(is_entry) => {
                let frame = PythonEntry::Frame(link.python_frame()?);
                match link.byte(is_entry) {
                    Some(0) => entries.push(frame),
                    Some(1) => {
                        self.check_linked(mem, link)?;
                        let outer = self.outer(mem)?;
                        entries.extend([frame, PythonEntry::Marker(self.cframe)]);
                        (self.cframe, self.is_in_innermost) = (outer, false);
                    }
                    _ => return Err(link.torn()),
                }
            }
        }
        Ok(())
    }

    pub(super) fn leave_unlinked(&mut self, mem: &impl Memory) -> Option<Addr> {
        if self.has_left || !self.is_in_innermost {
            return None;
        }
        let outer = self.outer(mem).ok().filter(|outer| !outer.is_null())?;
        let frame = self.frame_of(mem, outer).ok()?;
        (self.has_left, self.cframe) = (true, outer);
        Some(frame)
    }

    /// Refuses the end of the innermost eval loop where the loop is not linked: it returns to the frame at which the one outside
    /// stands. A pointer left over from an earlier eval loop at the same depth of the C stack may lead to frames that look right
    /// and have gone.
    fn check_linked(&self, mem: &impl Memory, link: &Link<'_>) -> Step<()> {
        if !self.is_in_innermost {
            return Ok(());
        }
        let outer = self.outer(mem)?;
        let stands_at = if outer.is_null() { outer } else { self.frame_of(mem, outer)? };
        if stands_at == link.previous { Ok(()) } else { Err(link.torn()) }
    }

    /// The `_PyCFrame` of the eval loop outside.
    fn outer(&self, mem: &impl Memory) -> Step<Addr> {
        pointer(mem, self.cframe.wrapping_add(self.layout.previous))
    }

    fn frame_of(&self, mem: &impl Memory, cframe: Addr) -> Step<Addr> {
        pointer(mem, cframe.wrapping_add(self.layout.current_frame))
    }
}
