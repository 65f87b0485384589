//! Names that have been looked up already, by file and address.
//!
//! Does: hand them out. Does not: look up what is missing.

use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::native_symbol::NativeSymbol;
use super::query::{ModuleFile, Query};
use crate::target::root::RootIdentity;

/// A file: one that is shared is at one place in memory ([`crate::target::elf_files`]). Its path, in its root, leads to its debug file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FileKey(usize, PathBuf, Option<RootIdentity>);

impl FileKey {
    /// `None` for a file that cannot be read.
    pub(super) fn of(file: &ModuleFile, root: Option<RootIdentity>) -> Option<FileKey> {
        Some(FileKey(Arc::as_ptr(file.elf.as_ref().ok()?) as usize, file.path.clone(), root))
    }
}

/// The names at addresses of files.
#[derive(Debug, Default)]
pub struct Answers(pub(super) FxHashMap<FileKey, FileAnswers>);

/// What is known of one file.
#[derive(Debug)]
pub(super) struct FileAnswers {
    /// Keeps the file where it is, for its place is its key.
    pub(super) _file: ModuleFile,
    pub(super) names: FxHashMap<Query, Vec<NativeSymbol>>,
}

impl Answers {
    /// The names at some addresses of a file, in their order; `None` when one of them has not been asked for.
    pub fn of(
        &self,
        file: &ModuleFile,
        root: Option<RootIdentity>,
        queries: &[Query],
    ) -> Option<Vec<Vec<NativeSymbol>>> {
        let answers = self.0.get(&FileKey::of(file, root)?)?;
        queries.iter().map(|query| answers.names.get(query).cloned()).collect()
    }

    /// Whether nothing has been asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds other answers.
    pub fn extend(&mut self, other: Answers) {
        self.0.extend(other.0);
    }
}
