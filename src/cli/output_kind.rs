//! What an output is: one of the formats that show a profile, or a recording that they can be made from later.
//!
//! Does: tell it by a name or by a file's extension. Does not: write any.

use std::path::Path;

use super::failure::Failure;
use super::shown_args::FilterArgs;
use crate::output::format::Format;

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Every sample, for `fpprof report`.
    Recording,
    /// A format that shows a profile.
    Shown(Format),
}

impl OutputKind {
    /// The extension, without a dot, of a file that is named for it.
    pub fn extension(self) -> &'static str {
        match self {
            OutputKind::Recording => "fpprof",
            OutputKind::Shown(format) => format.extension(),
        }
    }

    /// Whether it is for its owner only, as it holds lines of source files, or may.
    pub fn is_private(self) -> bool {
        match self {
            OutputKind::Recording => true,
            OutputKind::Shown(format) => format.shows_sources(),
        }
    }

    /// How to look at it, as the end of "open it with …".
    pub fn viewer(self) -> &'static str {
        match self {
            OutputKind::Recording => "`fpprof report`",
            OutputKind::Shown(format) => format.viewer(),
        }
    }

    /// What a file's extension stands for, if it stands for anything.
    pub fn from_path(path: &Path) -> Option<OutputKind> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("fpprof")) {
            return Some(OutputKind::Recording);
        }
        Format::from_path(path).map(OutputKind::Shown)
    }
}

/// What is written: the format that was asked for, else that of the output's name, else a flame graph.
///
/// # Errors
/// What to tell the user whose output's name stands for several.
pub fn of(asked: Option<OutputKind>, output: Option<&Path>) -> Result<OutputKind, Failure> {
    let path = output.filter(|path| *path != Path::new("-"));
    if let Some(kind) = asked.or_else(|| OutputKind::from_path(path?)) {
        return Ok(kind);
    }
    if path.is_some_and(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))) {
        return Err(Failure::new("`.json` is the end of several formats' names")
            .with_hint("Choose one with `--format speedscope`, `firefox` or `chrometrace`.")
            .with_exit_code(2));
    }
    Ok(OutputKind::Shown(Format::FlameGraph))
}

/// Whether stacks can be shown the other way round in an output.
///
/// # Errors
/// What to tell the user who wants that of another one.
pub fn check_inverted(kind: OutputKind, inverted: bool) -> Result<(), Failure> {
    let hint = match kind {
        OutputKind::Shown(Format::FlameGraph | Format::Collapsed) => return Ok(()),
        _ if !inverted => return Ok(()),
        OutputKind::Recording => "Give `--inverted` to `fpprof report`: a recording has what both need.",
        OutputKind::Shown(_) => {
            "Leave it out, or choose `--format flamegraph` or `collapsed`; viewers invert stacks by themselves."
        }
    };
    Err(Failure::new("`--inverted` is for flame graphs and collapsed stacks").with_hint(hint).with_exit_code(2))
}

/// Whether samples can be left out of an output.
///
/// # Errors
/// What to tell the user who wants that of a recording.
pub fn check_filters(kind: OutputKind, filters: &FilterArgs) -> Result<(), Failure> {
    match filters.given() {
        Some(switch) if kind == OutputKind::Recording => {
            let failure =
                Failure::new(format_args!("`{switch}` leaves samples out, and a recording keeps all of them"));
            Err(failure.with_hint(format!("Give `{switch}` to `fpprof report`.")).with_exit_code(2))
        }
        _ => Ok(()),
    }
}

/// A format by its name on the command line.
pub fn parse(name: &str) -> Result<OutputKind, String> {
    match name {
        "fpprof" => Ok(OutputKind::Recording),
        name => parse_shown(name).map(OutputKind::Shown).map_err(|error| format!("{error}, and fpprof")),
    }
}

/// A format that shows a profile by its name on the command line.
pub fn parse_shown(name: &str) -> Result<Format, String> {
    name.parse().map_err(|error: crate::output::format::UnknownFormat| error.to_string())
}
