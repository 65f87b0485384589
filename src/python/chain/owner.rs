//! The chain of 3.13 and later: the thread state leads to the innermost frame, and entry frames have an owner of their own.
//!
//! Does: tell entry frames from those that run code, and the root. Does not: read links.

use super::link::{Link, Step, pointer};
use crate::python::layout::OwnerChain;
use crate::python::stack::PythonEntry;
use crate::target::memory::Memory;
use crate::types::Addr;

/// See the file.
#[derive(Debug, Clone)]
pub struct OwnerWalker {
    layout: OwnerChain,
    /// 3.15: the entry frame inside the thread state, which ends the chain.
    base_frame: Addr,
}

impl OwnerWalker {
    /// A walker that has not begun.
    pub fn new(layout: OwnerChain) -> OwnerWalker {
        OwnerWalker { layout, base_frame: Addr::NULL }
    }

    pub(super) fn start(&mut self, mem: &impl Memory, thread_state: Addr) -> Step<Addr> {
        if let Some(offset) = self.layout.base_frame {
            self.base_frame = pointer(mem, thread_state.wrapping_add(offset))?;
        }
        pointer(mem, thread_state.wrapping_add(self.layout.current_frame))
    }

    pub(super) fn has_ended(&self, frame: Addr) -> bool {
        frame.is_null() || frame == self.base_frame
    }

    pub(super) fn add(&self, link: &Link<'_>, entries: &mut Vec<PythonEntry>) -> Step<()> {
        entries.push(if link.owner >= self.layout.entry_owner {
            PythonEntry::Marker(link.address)
        } else {
            PythonEntry::Frame(link.python_frame()?)
        });
        Ok(())
    }
}
