//! How much time each line of Python took.
//!
//! Does: count by file and line, and put the source beside it. Does not: read files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::functions::paths;
use crate::profile::Profile;
use crate::profile::clean::one_line;
use crate::profile::sources::{Source, Sources};

/// A file.
#[derive(Debug, Serialize)]
pub(super) struct FileRow {
    name: String,
    /// Samples with one of its lines anywhere.
    total: u64,
    /// Its text, line by line.
    lines: Vec<String>,
    /// Why there is no text.
    missing: Option<String>,
    /// Of each line that was seen: its number, the samples with it innermost of all Python lines, those with it anywhere.
    heat: Vec<(u32, u64, u64)>,
}

#[derive(Debug, Default)]
struct Heat {
    total: u64,
    lines: BTreeMap<u32, (u64, u64)>,
}

/// The Python files, those with the most samples first.
pub(super) fn files(stacks: &Profile, sources: &Sources) -> Vec<FileRow> {
    let mut files: BTreeMap<&Arc<str>, Heat> = BTreeMap::new();
    for (stack, weight) in paths(stacks) {
        let frames = stack.iter().filter_map(|frame| stacks.frames().get(*frame));
        let source = frames.filter(|frame| frame.kind.is_python()).filter_map(|frame| frame.source.as_ref());
        let lines: Vec<(&Arc<str>, u32)> = source.filter_map(|source| Some((&source.file, source.line?))).collect();
        if let Some((file, line)) = lines.last() {
            let (own, _) = files.entry(*file).or_default().lines.entry(*line).or_default();
            *own = own.saturating_add(weight);
        }
        let mut distinct = lines;
        distinct.sort_unstable();
        distinct.dedup();
        let mut last = None;
        for (file, line) in distinct {
            let heat = files.entry(file).or_default();
            let (_, total) = heat.lines.entry(line).or_default();
            *total = total.saturating_add(weight);
            if last.replace(file) != Some(file) {
                heat.total = heat.total.saturating_add(weight);
            }
        }
    }
    let row = |(file, heat): (&Arc<str>, Heat)| {
        let (lines, missing) = match sources.files.get(file) {
            Some(Source::Lines(lines)) => (lines.clone(), None),
            Some(Source::Missing(why)) => (Vec::new(), Some(why.clone())),
            None => (Vec::new(), Some("it was not read".to_owned())),
        };
        let heat_of = |(line, (own, total))| (line, own, total);
        FileRow {
            name: one_line(file).into_owned(),
            total: heat.total,
            lines,
            missing,
            heat: heat.lines.into_iter().map(heat_of).collect(),
        }
    };
    let mut rows: Vec<FileRow> = files.into_iter().map(row).collect();
    rows.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.name.cmp(&b.name)));
    rows
}
