//! Questions that several processes, or programs one after the other, ask: a binary that they share is looked up once for all.
//!
//! Does: gather what is asked of each file, and have it answered in one go. Does not: know who asks.

use rustc_hash::{FxHashMap, FxHashSet};

use super::answers::{Answers, FileKey};
use super::native_symbol::NativeSymbol;
use super::query::{ModuleFile, Query};
use super::symbolizer::Symbolizer;

/// What is asked of each file.
#[derive(Debug, Default)]
pub struct Questions(FxHashMap<FileKey, (ModuleFile, FxHashSet<Query>)>);

impl Questions {
    /// Asks for addresses of a file.
    pub fn add(&mut self, file: &ModuleFile, queries: impl Iterator<Item = Query>) {
        if let Some(key) = FileKey::of(file) {
            self.0.entry(key).or_insert_with(|| (file.clone(), FxHashSet::default())).1.extend(queries);
        }
    }

    /// Has them answered, file by file.
    pub fn answer(self, symbolizer: &Symbolizer) -> Answers {
        symbolizer.steps.expect(self.0.values().map(|(_, queries)| queries.len()).sum());
        let answer = |(key, (file, queries)): (FileKey, (ModuleFile, FxHashSet<Query>))| {
            let queries: Vec<Query> = queries.into_iter().collect();
            let names: Vec<Vec<NativeSymbol>> = symbolizer.resolve(&file, &queries).names;
            symbolizer.steps.advance(queries.len());
            (key, queries.into_iter().zip(names).collect())
        };
        Answers(self.0.into_iter().map(answer).collect())
    }
}
