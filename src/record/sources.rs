//! The text of a program's Python files, for its recording.
//!
//! Does: read those that are still what was recorded with the eyes of the program's user, within bounds, while its root is at hand; say of
//! each other one why it has no text. Does not: write it.

use std::time::SystemTime;

use rustc_hash::FxHashSet;

use super::program::Program;
use crate::profile::recording::RecordedSource;
use crate::report::source_file::{self, NO_FILE};

/// How much the files of a recording take in it, as they are written, in bytes: what any recording may unfold to beyond its length
/// (`profile::recording`), so that it can be read however well they are compressed.
const MAX_ALL: usize = 16_000_000;

/// What the record around a file takes at most: `{"sources":{"program":9999,"list":[]}}` and a new line.
const AROUND: usize = 64;

/// What is kept of the files that functions are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptSources {
    /// Their text.
    All,
    /// Nothing.
    None,
}

/// Reads files, and knows how much may still be kept.
#[derive(Debug)]
pub struct SourceReader {
    started: Option<SystemTime>,
    left: usize,
}

impl SourceReader {
    /// For a recording that began at that time.
    pub fn new(started: Option<SystemTime>) -> SourceReader {
        SourceReader { started, left: MAX_ALL }
    }

    /// The files of a program, one after the other, each once.
    pub fn read<'a>(&'a mut self, program: &'a Program) -> impl Iterator<Item = RecordedSource> + 'a {
        let (root, process) = (program.session.reader.root(), program.session.identity());
        let mut known = FxHashSet::default();
        program.session.reader.codes.functions().iter().filter_map(move |function| {
            let file = &*function.filename;
            if file.starts_with(NO_FILE) || !known.insert(file) {
                return None;
            }
            let path = process.current_directory.as_deref().map_or_else(|| file.into(), |folder| folder.join(file));
            self.fitting(file, source_file::read(&root, &path, self.started))
        })
    }

    /// A file as it is kept, or why it is not, if there is room for that.
    fn fitting(&mut self, file: &str, text: Result<String, String>) -> Option<RecordedSource> {
        let source = |text, missing| RecordedSource { file: file.to_owned(), text, missing };
        let whole = match text {
            Ok(text) => source(Some(text), None),
            Err(why) => source(None, Some(why)),
        };
        let choices = [whole, source(None, Some("all files together are too large".to_owned()))];
        choices.into_iter().find(|source| match self.left.checked_sub(length(source)) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        })
    }
}

/// How many bytes a file takes as it is written, with the record around it.
fn length(source: &RecordedSource) -> usize {
    serde_json::to_vec(source).map_or(usize::MAX, |bytes| bytes.len().saturating_add(AROUND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_a_reader_takes() {
        let mut reader = SourceReader::new(None);
        // A byte that takes six as it is written.
        let large = || Ok("\u{1}".repeat(1 << 20));
        let kept = [(); 4].map(|()| reader.fitting("a.py", large()).unwrap().text.is_some());
        assert_eq!(kept, [true, true, false, false]);
        let small = reader.fitting("b.py", Ok("x = 1\n".into())).unwrap();
        assert_eq!((small.text.as_deref(), small.missing), (Some("x = 1\n"), None), "what is small still fits");
        let missing = reader.fitting("c.py", Err("it is not there".into())).unwrap();
        assert_eq!((missing.text, missing.missing.as_deref()), (None, Some("it is not there")));
        let long = "n".repeat(1 << 20);
        let named = (0..100).filter_map(|_| reader.fitting(&long, Err("it is not there".into()))).count();
        assert!((1..16).contains(&named), "reasons take room, too: {named}");
    }
}
