//! The interpreter's own stack: what walking its chain of frames returns.
//!
//! Does: say which code objects run and where the markers on the C stack are. Does not: name anything.

use crate::types::Addr;

/// One element of the interpreter's chain of frames, innermost first in a [`PythonStack`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PythonEntry {
    /// A Python frame.
    Frame(PythonFrame),
    /// The entry frame of an eval loop: the object on the C stack that the loop has linked into the chain (3.11, which has no
    /// such frame: its `_PyCFrame`). The frames before it, up to the marker before, run in the native frame that contains this
    /// address.
    Marker(Addr),
}

impl PythonEntry {
    /// Where it is.
    pub fn address(&self) -> Addr {
        match self {
            PythonEntry::Frame(frame) => frame.frame,
            PythonEntry::Marker(addr) => *addr,
        }
    }

    /// It, if it is a frame.
    pub fn frame(&self) -> Option<&PythonFrame> {
        match self {
            PythonEntry::Frame(frame) => Some(frame),
            PythonEntry::Marker(_) => None,
        }
    }

    /// Where it is, if it is a marker.
    pub fn marker(&self) -> Option<Addr> {
        match self {
            PythonEntry::Frame(_) => None,
            PythonEntry::Marker(addr) => Some(*addr),
        }
    }
}

/// One Python frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PythonFrame {
    /// Where the interpreter's frame object is.
    pub frame: Addr,
    /// Its code object.
    pub code: Addr,
    /// The instruction that is executing, in bytes from the start of the code object's bytecode; absent where the
    /// frame's instruction pointer is outside its code.
    pub instruction_offset: Option<u32>,
}

/// Why the chain of frames ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChainEnd {
    /// At its root. The only complete end.
    Root,
    /// A frame could not be read.
    Unreadable(Addr),
    /// A frame's contents are impossible (seen while the thread links or unlinks a frame).
    Torn(Addr),
    /// More frames than the bound allows, or a cycle: those behind the last frame are left out. The markers of their eval loops
    /// may be there.
    TooDeep,
}

/// A thread's Python frames and markers, innermost first, and why they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonStack {
    /// Frames and markers, innermost first.
    pub entries: Vec<PythonEntry>,
    /// Why there is no entry after the last.
    pub end: ChainEnd,
}
