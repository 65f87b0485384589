//! Saved snapshots: all that the pure stages read of one thread at one moment, in a file.
//!
//! A snapshot is test fixture, bug report and benchmark input at once: it goes through the same code as a live process
//! ([`stack::journey`](crate::stack::journey)). `docs/snapshots.md` says what is in it, and what that means for privacy.
//!
//! [`take`] makes one of a capture, [`format`](mod@format) writes and reads it, [`replay`] runs it; [`subject`] does all of
//! that with a live thread.

pub mod format;
pub mod packed;
mod recorded_code;
mod recorder;
pub mod redact;
pub mod replay;
pub mod subject;
pub mod take;

use crate::merge::eval_code::EvalCode;
use crate::merge::resync::EvalFrameLayout;
use crate::target::memory::Region;
use crate::target::registers::Registers;
use crate::types::{Addr, Machine, Svma};

/// One thread at one moment, and what is known of its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The architecture that the thread ran on.
    pub machine: Machine,
    /// Where the interpreter was found.
    pub runtime: Runtime,
    /// The thread's registers.
    pub registers: Registers,
    /// Its stack, from below the stack pointer up to its outermost frame.
    pub stack: Region,
    /// What was read of other memory: by address, no two overlap.
    pub memory: Vec<Region>,
    /// The thread's states.
    pub thread_states: Vec<Addr>,
    /// What earlier samples of the process have taught of its eval frames.
    pub evaluation_frame: Option<EvalFrameLayout>,
    /// The code that executes in them, as far as it was known.
    pub evaluation_code: EvalCode,
    /// The modules of the process.
    pub modules: Vec<ModuleImage>,
    /// Its executable ranges.
    pub code: Vec<CodeMapping>,
}

/// Where an interpreter is: what `python::runtime::Candidate` is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The address of `_PyRuntime`.
    pub address: Addr,
    /// The address of `Py_Version`, where there is such a symbol.
    pub version_symbol: Option<Addr>,
    /// The name of the file that holds it.
    pub file_name: String,
}

/// A module, with the part of its unwind tables that was needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleImage {
    /// The name of its file; its folder is nobody's business.
    pub name: String,
    /// The build id of its file, in hexadecimal digits.
    pub build_id: Option<String>,
    /// What the loader added to the file's addresses.
    pub bias: u64,
    /// `.eh_frame_hdr`.
    pub eh_frame_hdr: Option<SparseSection>,
    /// `.eh_frame`.
    pub eh_frame: Option<SparseSection>,
    /// The instructions that were looked at, by stated address.
    pub code: Vec<(u64, Vec<u8>)>,
}

/// A section of which only parts are known; the rest reads as zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseSection {
    /// The stated address of its first byte.
    pub svma: Svma,
    /// Its length in bytes, known or not.
    pub len: usize,
    /// What is known, by offset.
    pub parts: Vec<(u64, Vec<u8>)>,
}

/// An executable range of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeMapping {
    /// Its first address.
    pub start: Addr,
    /// The address behind its last.
    pub end: Addr,
    /// The index of its module; `None` for code without a file.
    pub module: Option<usize>,
}
