//! The native stack: what unwinding returns.
//!
//! Does: say where each frame is and why the stack ends. Does not: name anything.

use crate::types::Addr;

/// One native frame, innermost first in a [`NativeStack`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NativeFrame {
    /// The program counter for the innermost (or interrupted) frame, else the return address into this frame.
    pub pc: Addr,
    /// Whether `pc` is a return address: then the call itself is in front of it, and every lookup uses `pc - 1`.
    pub is_return_address: bool,
    /// The stack pointer in this frame: the lowest address that belongs to it.
    pub sp: Addr,
    /// The canonical frame address: the end of this frame. `sp <= address < cfa` is inside it.
    /// For the outermost frame, whose CFA is undefined, the highest address known to belong to it.
    pub cfa: Addr,
}

impl NativeFrame {
    /// The address to look functions and unwind rules up with: inside the instruction that is executing.
    #[inline]
    pub fn lookup_address(&self) -> Addr {
        Addr(self.pc.0.wrapping_sub(u64::from(self.is_return_address)))
    }
}

/// Why a native stack ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StackEnd {
    /// At the thread's entry (`_start`, `clone`): the tables say that there is no caller. The only complete end.
    ThreadEntry,
    /// The program counter is in no mapping that holds code.
    UnmappedCode(Addr),
    /// The code at this address has no unwind rule and is not known to keep frame pointers.
    NoUnwindRule(Addr),
    /// The rule at this address needs a register whose value is not known.
    UnknownRegister(Addr),
    /// The rule at this address led to memory outside the copied stack.
    UnreadableStack(Addr),
    /// The rule at this address led to a frame that is not above the one before it.
    NotAscending(Addr),
    /// More frames than the bound allows.
    TooDeep,
}

impl StackEnd {
    /// The code in no mapping, where that is what it ends at.
    pub fn unmapped_code(self) -> Option<Addr> {
        if let StackEnd::UnmappedCode(addr) = self { Some(addr) } else { None }
    }
}

/// A thread's native frames, innermost first, and why they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeStack {
    /// The frames, innermost first.
    pub frames: Vec<NativeFrame>,
    /// Why there is no frame after the last.
    pub end: StackEnd,
}

impl NativeStack {
    /// No frames yet: what a walk fills, and a later one fills again without allocating.
    pub fn empty() -> Self {
        NativeStack { frames: Vec::new(), end: StackEnd::UnmappedCode(Addr::NULL) }
    }

    /// Makes it the same as another, in the memory that it has.
    pub fn copy_from(&mut self, other: &NativeStack) {
        self.frames.clone_from(&other.frames);
        self.end = other.end;
    }
}
