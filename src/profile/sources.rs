//! The text of Python files, for outputs that show lines of code.
//!
//! Does: hold it, by the name that frames have for the file. Does not: read files.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A file's text, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Its lines.
    Lines(Vec<String>),
    /// Why it cannot be shown.
    Missing(String),
}

/// Files, by the name that frames have for them ([`SourceLine::file`](super::frame::SourceLine::file)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The files.
    pub files: BTreeMap<Arc<str>, Source>,
}
