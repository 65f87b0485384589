//! What a frame is called in the outputs that show a frame as one text.
//!
//! Does: make labels as py-spy spells them, `name (file.py:12)` and `function (module.so)`, that any reader of
//! collapsed stacks takes for one frame. Does not: shorten paths (`profile::paths`).

use std::borrow::Cow;

use crate::profile::clean::one_line;
use crate::profile::frame::{Frame, FrameKind, SourceLine};

/// What labels tell of a frame's place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelOptions {
    /// Name the line where the function begins instead of the line that is executing, so that a function is one frame
    /// (`-F`, `--function`).
    pub by_function: bool,
    /// Name no lines (`--nolineno`).
    pub no_line_numbers: bool,
}

/// The label of a frame: not empty, on one line, clean, and without what separates frames and counts in collapsed
/// stacks:
/// - `;` separates frames: it becomes `:`,
/// - a number behind the last space would be read as a count: that space becomes `_`,
/// - `#` at the beginning would make a comment: `_` is put in front.
pub fn label(frame: &Frame, options: &LabelOptions) -> String {
    let name = short_name(frame);
    let text = match place(frame, options) {
        Some(place) => format!("{name} ({place})"),
        None => name.into_owned(),
    };
    foldable_name(&text)
}

/// The name of a frame, and where it is: each on one line and clean, for readers that do not fold stacks.
pub fn name_and_place(frame: &Frame, options: &LabelOptions) -> (String, Option<String>) {
    let place = place(frame, options).map(|place| one_line(&place).into_owned());
    (one_line(&short_name(frame)).into_owned(), place)
}

/// What the frame is called; not clean, never empty.
pub(super) fn name(frame: &Frame) -> &str {
    if frame.name.trim().is_empty() { "[no name]" } else { &frame.name }
}

/// The same, with the short name of the module that a function without a name is called by.
fn short_name(frame: &Frame) -> Cow<'_, str> {
    let module = frame.module.as_deref().unwrap_or_default();
    match frame.nameless() {
        Some(rest) => Cow::Owned(format!("{}{rest}", short_module(module))),
        None => Cow::Borrowed(name(frame)),
    }
}

/// The name of a module as its users import it: `zlib` of `zlib.cpython-313-x86_64-linux-gnu.so`, `_rust` of `_rust.abi3.so`. Others are
/// left as they are.
fn short_module(file: &str) -> &str {
    let is_tag =
        |tag: &str| matches!(tag, "abi3" | "abi3t") || tag.strip_prefix("cpython-").is_some_and(|t| !t.is_empty());
    let tagged = file.strip_suffix(".so").and_then(|name| name.rsplit_once('.'));
    tagged.filter(|(name, tag)| !name.is_empty() && is_tag(tag)).map_or(file, |(name, _)| name)
}

/// Where the frame is: `file:line`, `file`, or the native module; `None` where the name tells it.
fn place(frame: &Frame, options: &LabelOptions) -> Option<String> {
    if matches!(frame.kind, FrameKind::Gap | FrameKind::RunState | FrameKind::Thread | FrameKind::Process) {
        return None;
    }
    match (&frame.source, &frame.module) {
        (Some(source), _) if !source.file.is_empty() => Some(match line(source, options) {
            Some(line) => format!("{}:{line}", source.file),
            None => source.file.to_string(),
        }),
        // A function without a name is called `module+0x1234`.
        (_, Some(_)) if frame.nameless().is_some() => None,
        (_, Some(module)) if !module.is_empty() => Some(match frame.is_from_method_table {
            true => format!("{}, from a method table", short_module(module)),
            false => short_module(module).to_owned(),
        }),
        _ => None,
    }
}

/// The line to name, if one is to be named.
pub(super) fn line(source: &SourceLine, options: &LabelOptions) -> Option<u32> {
    match options {
        LabelOptions { no_line_numbers: true, .. } => None,
        LabelOptions { by_function: true, .. } => source.first_line,
        _ => source.line,
    }
}

/// A text made clean, on one line, and with nothing in it that separates frames or counts.
pub(super) fn foldable_name(text: &str) -> String {
    foldable(&one_line(text))
}

/// A clean text with nothing in it that separates frames or counts.
pub(super) fn foldable(text: &str) -> String {
    let mut text = text.replace(';', ":");
    if text.starts_with('#') {
        text.insert(0, '_');
    }
    // inferno takes `12`, `1.5` and `.` for numbers (`rfind_samples` in its flamegraph/merge.rs).
    if let Some(space) = text.rfind(' ') {
        let last = text.get(space + 1..).unwrap_or("");
        if last.chars().all(|c| c.is_ascii_digit() || c == '.') {
            text.replace_range(space..space + 1, "_");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::run_state::RunState;
    use crate::types::Tid;

    const PLAIN: LabelOptions = LabelOptions { by_function: false, no_line_numbers: false };
    const BY_FUNCTION: LabelOptions = LabelOptions { by_function: true, no_line_numbers: false };
    const NO_LINES: LabelOptions = LabelOptions { by_function: false, no_line_numbers: true };

    fn source(file: &str, line: Option<u32>, first_line: Option<u32>) -> SourceLine {
        SourceLine { file: file.into(), line, first_line }
    }

    #[test]
    fn python_frames_name_their_line() {
        let frame = Frame::python(FrameKind::UserCode, "Shop.run", source("shop.py", Some(12), Some(10)));
        assert_eq!(label(&frame, &PLAIN), "Shop.run (shop.py:12)");
        assert_eq!(label(&frame, &BY_FUNCTION), "Shop.run (shop.py:10)");
        assert_eq!(label(&frame, &NO_LINES), "Shop.run (shop.py)");
        let both = LabelOptions { by_function: true, no_line_numbers: true };
        assert_eq!(label(&frame, &both), "Shop.run (shop.py)");
        let unknown = Frame::python(FrameKind::UserCode, "f", source("shop.py", None, None));
        assert_eq!(label(&unknown, &PLAIN), "f (shop.py)");
    }

    #[test]
    fn native_frames_name_their_source_or_else_their_module() {
        let frame = Frame::native(FrameKind::System, "inflate", Some("libz.so.1"));
        assert_eq!(label(&frame, &PLAIN), "inflate (libz.so.1)");
        let lined = frame.clone().at(source("inflate.c", Some(620), None));
        assert_eq!(label(&lined, &PLAIN), "inflate (inflate.c:620)");
        assert_eq!(label(&lined, &BY_FUNCTION), "inflate (inflate.c)");
        let unnamed = Frame::native(FrameKind::System, "libz.so.1+0x1234", Some("libz.so.1"));
        assert_eq!(label(&unnamed, &PLAIN), "libz.so.1+0x1234");
        assert_eq!(label(&Frame::native(FrameKind::Jit, "py::f:/a.py", None), &PLAIN), "py::f:/a.py");
    }

    #[test]
    fn modules_are_called_as_they_are_imported() {
        let cases = [
            ("zlib.cpython-313-x86_64-linux-gnu.so", "zlib"),
            ("_core.cpython-314t-aarch64-linux-gnu.so", "_core"),
            ("_rust.abi3.so", "_rust"),
            ("libz.so.1", "libz.so.1"),
            ("python3.11", "python3.11"),
            (".abi3.so", ".abi3.so"),
            ("a.cpython-.so", "a.cpython-.so"),
        ];
        for (file, short) in cases {
            assert_eq!(short_module(file), short);
        }
        let file = "zlib.cpython-313-x86_64-linux-gnu.so";
        let in_zlib = |name: &str| Frame::native(FrameKind::NativeExtension, name, Some(file));
        assert_eq!(label(&in_zlib("inflate"), &PLAIN), "inflate (zlib)");
        assert_eq!(label(&in_zlib(&format!("{file}+0x1234")), &PLAIN), "zlib+0x1234");
        assert_eq!(label(&in_zlib(&format!("{file}+0x1234")).without_address(), &PLAIN), "zlib [without names]");
        let named = in_zlib("zlib.compress").from_method_table();
        assert_eq!(label(&named, &PLAIN), "zlib.compress (zlib, from a method table)");
    }

    #[test]
    fn frames_that_are_no_code_have_no_place() {
        assert_eq!(label(&Frame::thread(Tid(7), Some("MainThread")), &PLAIN), "thread 7 (MainThread)");
        assert_eq!(label(&Frame::run_state(&RunState::Sleeping), &PLAIN), "[sleeping]");
        assert_eq!(label(&Frame::gap("no unwind rule"), &PLAIN), "[stack incomplete: no unwind rule]");
    }

    #[test]
    fn separators_in_names_are_replaced() {
        let named = |name: &str| label(&Frame::native(FrameKind::UserCode, name, None), &PLAIN);
        assert_eq!(named("core::mem::swap::<[u8; 8]>"), "core::mem::swap::<[u8: 8]>");
        assert_eq!(named("worker 12"), "worker_12");
        assert_eq!(named("worker 12 3.5"), "worker 12_3.5");
        assert_eq!(named("# worker"), "_# worker");
        assert_eq!(named(" \n"), "[no name]");
        assert_eq!(named("two\nlines 5"), "two lines_5");
    }
}
