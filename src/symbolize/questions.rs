//! Questions that several processes, or programs one after the other, ask: a binary that they share is looked up once for all.
//!
//! Does: gather what is asked of each file, and have it answered in one go. Does not: know who asks.

use rustc_hash::{FxHashMap, FxHashSet};

use super::answers::{Answers, FileAnswers, FileKey};
use super::native_symbol::NativeSymbol;
use super::query::{ModuleFile, Query};
use super::symbolizer::Symbolizer;
use crate::target::root::RootIdentity;

/// What is asked of each file of one root.
#[derive(Debug)]
pub struct Questions {
    root: Option<RootIdentity>,
    of_files: FxHashMap<FileKey, (ModuleFile, FxHashSet<Query>)>,
}

impl Questions {
    /// Questions about files of a root.
    pub fn about(root: Option<RootIdentity>) -> Questions {
        Questions { root, of_files: FxHashMap::default() }
    }

    /// Asks for addresses of a file.
    pub fn add(&mut self, file: &ModuleFile, queries: impl Iterator<Item = Query>) {
        if let Some(key) = FileKey::of(file, self.root.clone()) {
            self.of_files.entry(key).or_insert_with(|| (file.clone(), FxHashSet::default())).1.extend(queries);
        }
    }

    /// Has them answered, file by file.
    pub fn answer(self, symbolizer: &Symbolizer) -> Answers {
        symbolizer.steps.expect(self.of_files.values().map(|(_, queries)| queries.len()).sum());
        let answer = |(key, (file, queries)): (FileKey, (ModuleFile, FxHashSet<Query>))| {
            let queries: Vec<Query> = queries.into_iter().collect();
            let names: Vec<Vec<NativeSymbol>> = symbolizer.resolve(&file, &queries).names;
            symbolizer.steps.advance(queries.len());
            (key, FileAnswers { _file: file, names: queries.into_iter().zip(names).collect() })
        };
        Answers(self.of_files.into_iter().map(answer).collect())
    }
}
