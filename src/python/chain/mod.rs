//! The chains of frames that CPython's versions keep: a walker for each kind, which the [`Layout`] names.
//!
//! | kind | versions | from a thread state to its frames | an eval loop ends at |
//! |---|---|---|---|
//! | [`cframe`] | 3.11, 3.12 | through a `_PyCFrame` on the C stack | a frame with `is_entry` (3.11), an entry frame (3.12) |
//! | [`owner`] | 3.13 and later | directly | an entry frame |
//!
//! Does: say where a chain begins and ends, and what each of its links adds to the stack. A further kind (the frame objects of 3.6
//! to 3.10) is a file beside these two, with the same four functions.
//! Does not: bound the walk or detect cycles ([`crate::python::frames`]), or know a link's fields (`link`).

pub mod cframe;
pub mod link;
pub mod owner;

pub use self::link::{Link, Neighbours, Step};

use self::cframe::CFrameWalker;
use self::owner::OwnerWalker;
use crate::python::layout::{ChainLayout, Layout};
use crate::python::stack::PythonEntry;
use crate::target::memory::Memory;
use crate::types::Addr;

/// A walker of the layout's kind, and what it remembers on its way.
#[derive(Debug, Clone)]
pub enum Chain {
    /// See [`cframe`].
    CFrame(CFrameWalker),
    /// See [`owner`].
    Owner(OwnerWalker),
}

impl Chain {
    /// A walker that has not begun.
    pub fn new(layout: &Layout) -> Chain {
        match layout.chain {
            ChainLayout::CFrame(chain) => Chain::CFrame(CFrameWalker::new(chain)),
            ChainLayout::Owner(chain) => Chain::Owner(OwnerWalker::new(chain)),
        }
    }

    /// Goes from the thread state to the innermost frame.
    ///
    /// # Errors
    /// [`ChainEnd::Unreadable`](crate::python::stack::ChainEnd::Unreadable): the same call again goes on, with more memory.
    pub fn start(&mut self, mem: &impl Memory, thread_state: Addr) -> Step<Addr> {
        match self {
            Chain::CFrame(chain) => chain.start(mem, thread_state),
            Chain::Owner(chain) => chain.start(mem, thread_state),
        }
    }

    /// Whether there is no frame at `frame`, because the chain has come to its root.
    ///
    /// # Errors
    /// Where it has not, and there is no frame either.
    pub fn has_ended(&self, mem: &impl Memory, frame: Addr) -> Step<bool> {
        match self {
            Chain::CFrame(chain) => chain.has_ended(mem, frame),
            Chain::Owner(chain) => Ok(chain.has_ended(frame)),
        }
    }

    /// Adds what a link is: a frame, an entry frame, or both.
    ///
    /// # Errors
    /// Then nothing has been added: a walk that is continued comes to the same link again.
    pub fn add(&mut self, mem: &impl Memory, link: &Link<'_>, entries: &mut Vec<PythonEntry>) -> Step<()> {
        match self {
            Chain::CFrame(chain) => chain.add(mem, link, entries),
            Chain::Owner(chain) => chain.add(link, entries),
        }
    }

    /// Leaves the innermost eval loop, which is not linked yet, for the one outside it; returns the frame to go on from, if that
    /// could be done. What has been added is the loop's that was left.
    pub fn leave_unlinked(&mut self, mem: &impl Memory) -> Option<Addr> {
        match self {
            Chain::CFrame(chain) => chain.leave_unlinked(mem),
            // An entry frame is whole before the thread state leads to it.
            Chain::Owner(_) => None,
        }
    }
}
