//! What naming an address gives.
//!
//! Does: hold names, lines and the reasons for what is missing. Does not: obtain them.

use std::fmt;

use crate::target::elf::ElfError;
use crate::types::Svma;

/// The extent `[start, end)` of a function, or of one part of it, as its call frame information states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FunctionExtent {
    /// The first address.
    pub start: Svma,
    /// The address behind the last.
    pub end: Svma,
}

impl FunctionExtent {
    /// Whether the address is inside.
    pub fn contains(&self, svma: Svma) -> bool {
        self.start <= svma && svma < self.end
    }
}

/// One function that an address belongs to: the function whose code it is, or one that was inlined into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeSymbol {
    /// The function.
    pub name: FunctionName,
    /// The source file, as the compiler wrote it down.
    pub file: Option<String>,
    /// The line that is executing: the call's line for a function that others were inlined into. Counted from 1.
    pub line: Option<u32>,
    /// Whether the function was inlined into the one behind it in the list.
    pub inlined: bool,
}

/// A function's name, or where it is when it has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FunctionName {
    /// Its name, demangled, without parameters, versions and the suffixes of compiler-made parts.
    Known(String),
    /// It has no symbol, and a table of methods has it under this name: `zlib.compress`.
    InMethodTable(String),
    /// It is a stub by which calls lead to a function of another file: `write@plt`.
    Stub(String),
    /// It has no name. Shown as `module+0xstart`.
    Unknown {
        /// The module's file name.
        module: String,
        /// Where the function begins if its extent is known, else the address that was asked for.
        start: Svma,
        /// Why there is no name.
        reason: NoName,
    },
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FunctionName::Known(name) | FunctionName::InMethodTable(name) | FunctionName::Stub(name) => {
                f.write_str(name)
            }
            FunctionName::Unknown { module, start, .. } => write!(f, "{module}+{start}"),
        }
    }
}

/// Why a function has no name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoName {
    /// The module's file cannot be read.
    #[error("the module's file is unusable: {0}")]
    Unreadable(ElfError),
    /// The module is stripped, and no separate symbols were found.
    #[error("the module is stripped and no debug file was found")]
    Stripped,
    /// There is a full symbol table, and none of its symbols covers the address.
    #[error("no symbol covers the address")]
    NotCovered,
    /// The debug information lists the function without a name.
    #[error("the debug information gives no name")]
    Anonymous,
}
