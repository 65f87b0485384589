//! What is asked of a symbolizer: addresses of files.
//!
//! Does: define it. Does not: look anything up.

use std::path::PathBuf;
use std::sync::Arc;

use super::native_symbol::FunctionExtent;
use crate::target::elf::{ElfError, ElfFile};
use crate::types::Svma;

/// A file whose code the target runs.
#[derive(Debug, Clone)]
pub struct ModuleFile {
    /// Its path as the target sees it, or a name such as `[vdso]`.
    pub path: PathBuf,
    /// The opened file, or why it could not be had.
    pub elf: Result<Arc<ElfFile>, ElfError>,
}

/// One address to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Query {
    /// The address, inside the instruction that is executing.
    pub svma: Svma,
    /// The extent of the function around it, if the unwind tables know it.
    pub extent: Option<FunctionExtent>,
}
