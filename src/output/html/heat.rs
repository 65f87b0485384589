//! How much time each line of Python took.
//!
//! Does: count by file and line, and put the source beside it. Does not: read files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::functions::paths;
use crate::profile::Profile;
use crate::profile::clean::one_line;
use crate::profile::frame::{Frame, FrameKind};
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
    /// Samples in which the innermost line of the reader's own code is of it.
    #[serde(skip)]
    yours: u64,
}

#[derive(Debug, Default)]
struct Heat {
    total: u64,
    yours: u64,
    lines: BTreeMap<u32, (u64, u64)>,
}

/// The Python files, those with the most samples first.
pub(super) fn files(stacks: &Profile, sources: &Sources) -> Vec<FileRow> {
    let mut files: BTreeMap<&Arc<str>, Heat> = BTreeMap::new();
    for (stack, weight) in paths(stacks) {
        let frames: Vec<&Frame> = stack.iter().filter_map(|frame| stacks.frames().get(*frame)).collect();
        // Who has called it, and what it calls, is others': a launcher, the standard library.
        let yours = frames.iter().rev().find(|frame| frame.kind == FrameKind::UserCode);
        let source = frames.iter().filter(|frame| frame.kind.is_python()).filter_map(|frame| frame.source.as_ref());
        let lines: Vec<(&Arc<str>, u32)> = source.filter_map(|source| Some((&source.file, source.line?))).collect();
        if let Some((file, line)) = lines.last() {
            let (own, _) = files.entry(*file).or_default().lines.entry(*line).or_default();
            *own = own.saturating_add(weight);
        }
        if let Some(source) = yours.and_then(|frame| frame.source.as_ref()).filter(|source| source.line.is_some()) {
            let heat = files.entry(&source.file).or_default();
            heat.yours = heat.yours.saturating_add(weight);
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
            yours: heat.yours,
            heat: heat.lines.into_iter().map(heat_of).collect(),
        }
    };
    let mut rows: Vec<FileRow> = files.into_iter().map(row).collect();
    rows.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.name.cmp(&b.name)));
    rows
}

/// The number of the file that is shown first: where most time went of the reader's own code, with what that has called; without any such
/// code the first one.
pub(super) fn opens(files: &[FileRow]) -> usize {
    let most = files.iter().enumerate().max_by_key(|(index, file)| (file.yours, std::cmp::Reverse(*index)));
    most.map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::frame::SourceLine;

    fn python(kind: FrameKind, file: &str, line: u32) -> Frame {
        Frame::python(kind, "f", SourceLine { file: file.into(), line: Some(line), first_line: Some(1) })
    }

    fn opened(stacks: &Profile) -> Option<String> {
        let files = files(stacks, &Sources::default());
        files.get(opens(&files)).map(|file| file.name.clone())
    }

    #[test]
    fn the_first_file_is_the_reader_s_own_with_most_time_in_it_and_what_it_calls() {
        let launcher = python(FrameKind::UserCode, "bin/serve", 3);
        let server = python(FrameKind::InstalledPackage, "server/loop.py", 9);
        let (shop, cart) = (python(FrameKind::UserCode, "shop.py", 5), python(FrameKind::UserCode, "cart.py", 6));
        let json = python(FrameKind::StandardLibrary, "json/decoder.py", 7);
        let mut stacks = Profile::new();
        stacks.add([&launcher, &server], 3);
        stacks.add([&launcher, &server, &shop, &json], 6);
        stacks.add([&launcher, &server, &shop, &cart], 5);
        assert_eq!(opened(&stacks).as_deref(), Some("shop.py"));
    }

    #[test]
    fn without_own_code_it_is_the_one_with_most_time() {
        let (server, json) = (
            python(FrameKind::InstalledPackage, "server/loop.py", 9),
            python(FrameKind::StandardLibrary, "json/decoder.py", 7),
        );
        let mut stacks = Profile::new();
        stacks.add([&server, &json], 3);
        stacks.add([&server], 3);
        assert_eq!(opened(&stacks).as_deref(), Some("server/loop.py"));
        assert_eq!(opened(&Profile::new()), None);
    }
}
