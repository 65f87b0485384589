//! The frames of samples, which mean the same at any time.
//!
//! Does: define them, and why some are missing. Does not: name native functions; that is `symbolize`'s work, later.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::code_cache::FunctionId;
use crate::merge::Gap;
use crate::target::modules::ModuleId;
use crate::types::{Addr, Svma};

/// One frame of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleFrame {
    /// A Python function, and the line that was executing.
    Python {
        /// The function.
        function: FunctionId,
        /// The line; absent where the code has none.
        line: Option<NonZeroU32>,
    },
    /// An instruction of a module.
    Native {
        /// The module.
        module: ModuleId,
        /// Where in it: inside the instruction that was executing.
        svma: Svma,
    },
    /// The interpreter's evaluation of bytecode: the native frame behind the Python frames inside it.
    Evaluation {
        /// The interpreter's module.
        module: ModuleId,
        /// Where the evaluation function begins.
        function: Svma,
    },
    /// An instruction in code without a file: a JIT's.
    Unnamed(Addr),
    /// Frames are missing here.
    Missing(GapKind),
}

/// Why frames are missing: a [`Gap`] without its addresses, so that gaps of one kind are one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// The native walk came to code that is in no known mapping.
    UnmappedCode,
    /// The native walk came to code without unwind information.
    NoUnwindRule,
    /// The native walk needed a register that a thread which is not stopped does not show.
    UnknownRegister,
    /// The native walk left the stack.
    BrokenStack,
    /// There are more frames than the bound allows.
    TooDeep,
    /// The interpreter's chain of frames could not be followed to its root.
    PythonChain,
    /// Python frames were found in no native frame.
    Unplaced,
    /// An eval loop's Python frames could not be had.
    EvalLoop,
    /// A Python frame's code object could not be read.
    UnreadableCode,
    /// There was no room in memory for another stack.
    NoRoom,
    /// Time of which there is no sample.
    NotSampled,
    /// What a later version has written in a file: this one does not know the reason.
    #[serde(other)]
    Other,
}

impl From<Gap> for GapKind {
    fn from(gap: Gap) -> GapKind {
        use crate::python::stack::ChainEnd;
        use crate::unwind::stack::StackEnd;
        match gap {
            Gap::Native(StackEnd::UnmappedCode(_)) => GapKind::UnmappedCode,
            Gap::Native(StackEnd::NoUnwindRule(_)) => GapKind::NoUnwindRule,
            Gap::Native(StackEnd::UnknownRegister(_)) => GapKind::UnknownRegister,
            Gap::Native(StackEnd::TooDeep) | Gap::Python(ChainEnd::TooDeep) => GapKind::TooDeep,
            Gap::Native(_) => GapKind::BrokenStack,
            Gap::Python(_) => GapKind::PythonChain,
            Gap::Unplaced(_) => GapKind::Unplaced,
            Gap::EvalLoop(_) => GapKind::EvalLoop,
        }
    }
}

impl GapKind {
    /// What to tell a user.
    pub fn reason(self) -> &'static str {
        match self {
            GapKind::UnmappedCode => "code outside every known mapping",
            GapKind::NoUnwindRule => "code without unwind information",
            GapKind::UnknownRegister => "frame pointer of a blocked thread not known",
            GapKind::BrokenStack => "stack contents that lead nowhere",
            GapKind::TooDeep => "more frames than fpprof follows",
            GapKind::PythonChain => "interpreter frames being linked",
            GapKind::Unplaced => "Python frames in no native frame",
            GapKind::EvalLoop => "Python frames of an eval loop that could not be had",
            GapKind::UnreadableCode => "code object that cannot be read",
            GapKind::NoRoom => "no room in memory, see --max-memory",
            GapKind::NotSampled => "time of which there is no sample",
            GapKind::Other => "a reason that this version does not know",
        }
    }
}
