//! Names that have been looked up already, by file and address.
//!
//! Does: hand them out. Does not: look up what is missing.

use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::native_symbol::NativeSymbol;
use super::query::{ModuleFile, Query};

/// A file: one that is shared is at one place in memory ([`crate::target::elf_files`]). Its path leads to its debug file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FileKey(usize, PathBuf);

impl FileKey {
    /// `None` for a file that cannot be read.
    pub(super) fn of(file: &ModuleFile) -> Option<FileKey> {
        Some(FileKey(Arc::as_ptr(file.elf.as_ref().ok()?) as usize, file.path.clone()))
    }
}

/// The names at addresses of files.
#[derive(Debug, Default)]
pub struct Answers(pub(super) FxHashMap<FileKey, FxHashMap<Query, Vec<NativeSymbol>>>);

impl Answers {
    /// The names at some addresses of a file, in their order; `None` when one of them has not been asked for.
    pub fn of(&self, file: &ModuleFile, queries: &[Query]) -> Option<Vec<Vec<NativeSymbol>>> {
        let answers = self.0.get(&FileKey::of(file)?)?;
        queries.iter().map(|query| answers.get(query).cloned()).collect()
    }
}
