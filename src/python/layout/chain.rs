//! How the frames of a thread state are chained: a kind for each way that CPython has had, with the places of its fields.
//!
//! Does: hold what [`crate::python::chain`] walks by. Does not: walk, or say which version has which kind.

/// The kind of chain. (The frame objects of 3.6 to 3.10, `PyFrameObject.f_back`, would be a third one.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainLayout {
    /// 3.11 and 3.12.
    CFrame(CFrameChain),
    /// 3.13 and later.
    Owner(OwnerChain),
}

/// The thread state leads to a `_PyCFrame` on the C stack, and that to the innermost frame. Each eval loop has a `_PyCFrame`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CFrameChain {
    /// The pointer to the innermost `_PyCFrame`, in the thread state.
    pub cframe: u64,
    /// The pointer to the innermost frame, in the `_PyCFrame`.
    pub current_frame: u64,
    /// The pointer to the next outer `_PyCFrame`, in the `_PyCFrame`.
    pub previous: u64,
    /// What is an eval loop's entry frame.
    pub entry: CFrameEntry,
}

/// What tells where the frames of one eval loop end, in a chain with `_PyCFrame`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CFrameEntry {
    /// 3.11: `is_entry`, one byte at this place of the loop's outermost frame. The `_PyCFrame` stands for an entry frame.
    Flag(usize),
    /// 3.12: a frame on the C stack that runs no code, with this owner (`FRAME_OWNED_BY_CSTACK`) or a higher one.
    Owner(u8),
}

/// The thread state leads to the innermost frame. Each eval loop has an entry frame on the C stack, which runs no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerChain {
    /// The pointer to the innermost frame, in the thread state.
    pub current_frame: u64,
    /// The owner of entry frames, or the lowest: `FRAME_OWNED_BY_CSTACK` (3.13) or `FRAME_OWNED_BY_INTERPRETER` (3.14 and later).
    pub entry_owner: u8,
    /// The pointer to one last entry frame, which is in the thread state itself; the pointer is there, too (3.15).
    pub base_frame: Option<u64>,
}
