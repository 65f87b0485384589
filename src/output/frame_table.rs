//! The distinct frames of a profile for formats that have fields for what a frame is.
//!
//! Does: clean names and places, and take frames together that are equal under the options. Does not: write.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::label::{self, LabelOptions};
use super::labelled::NO_FRAMES;
use crate::profile::Profile;
use crate::profile::clean::one_line;
use crate::profile::frame::{Frame, FrameKind};

/// A frame. All texts are on one line and clean.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub kind: FrameKind,
    pub name: Arc<str>,
    /// The source file, if it is known.
    pub file: Option<Arc<str>>,
    /// The line to show, counted from 1.
    pub line: Option<u32>,
    /// The line where the function begins, counted from 1.
    pub first_line: Option<u32>,
    /// The file name of the native module.
    pub module: Option<Arc<str>>,
    /// Its place among the modules of the timeline, if it can be told.
    pub module_number: Option<usize>,
}

/// Frames by number.
pub(super) struct FrameTable {
    pub rows: Vec<Row>,
    /// The row of each frame of the profile, by its index.
    numbers: Vec<usize>,
}

impl FrameTable {
    /// The frames of a profile; `modules` has a module's number for each.
    pub(super) fn new(stacks: &Profile, modules: &[Option<usize>], options: &LabelOptions) -> FrameTable {
        let mut rows: Vec<Row> = Vec::new();
        let mut known: FxHashMap<Row, usize> = FxHashMap::default();
        let modules = modules.iter().copied().chain(std::iter::repeat(None));
        let numbers = stacks.frames().iter().zip(modules).map(|(frame, module_number)| {
            let row = row(frame, module_number, options);
            *known.entry(row).or_insert_with_key(|row| {
                rows.push(row.clone());
                rows.len() - 1
            })
        });
        let numbers = numbers.collect();
        let has_empty_stack = stacks.nodes().first().is_some_and(|root| root.self_weight > 0);
        if has_empty_stack {
            rows.push(row(&Frame::native(FrameKind::Gap, NO_FRAMES, None), None, options));
        }
        FrameTable { rows, numbers }
    }

    /// The rows of a stack's frames, outermost first; `node` is its index in the profile. Where there are none, a row says so.
    pub(super) fn stack(&self, stacks: &Profile, node: u32) -> Vec<usize> {
        let path = stacks.path(node as usize);
        let rows: Vec<usize> = path.iter().filter_map(|frame| self.numbers.get(frame.index()).copied()).collect();
        if rows.is_empty() { self.rows.len().checked_sub(1).into_iter().collect() } else { rows }
    }
}

fn row(frame: &Frame, module_number: Option<usize>, options: &LabelOptions) -> Row {
    let clean =
        |text: &str| -> Option<Arc<str>> { Some(one_line(text)).filter(|text| !text.is_empty()).map(Arc::from) };
    let source = frame.source.as_ref();
    Row {
        kind: frame.kind,
        name: one_line(label::name(frame)).into(),
        file: source.and_then(|source| clean(&source.file)),
        line: source.and_then(|source| label::line(source, options)),
        first_line: source.and_then(|source| source.first_line),
        module: frame.module.as_deref().and_then(clean),
        module_number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::frame::SourceLine;

    #[test]
    fn frames_that_are_equal_under_the_options_are_one() {
        let at = |line| {
            let source = SourceLine { file: "a.py".into(), line: Some(line), first_line: Some(1) };
            Frame::python(FrameKind::UserCode, "f\n", source)
        };
        let mut stacks = Profile::new();
        let node = stacks.add(&[at(2), at(3), at(2)], 1).index() as u32;
        let by_line = FrameTable::new(&stacks, &[], &LabelOptions::default());
        assert_eq!(by_line.stack(&stacks, node), [0, 1, 0]);
        let options = LabelOptions { by_function: true, no_line_numbers: false };
        let by_function = FrameTable::new(&stacks, &[], &options);
        assert_eq!(by_function.stack(&stacks, node), [0, 0, 0]);
        let row = &by_function.rows[0];
        assert_eq!((&*row.name, row.file.as_deref(), row.line), ("f", Some("a.py"), Some(1)));
    }
}
