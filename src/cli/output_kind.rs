//! What an output is: one of the formats that show a profile, or a recording that they can be made from later.
//!
//! Does: tell it by a name or by a file's extension. Does not: write any.

use std::path::Path;

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

/// A format by its name on the command line.
pub fn parse(name: &str) -> Result<OutputKind, String> {
    match name {
        "fpprof" => Ok(OutputKind::Recording),
        name => parse_shown(name).map(OutputKind::Shown).map_err(|error| format!("{error}, and fpprof")),
    }
}

/// A format that shows a profile by its name on the command line.
pub fn parse_shown(name: &str) -> Result<Format, String> {
    match name {
        "speedscope" | "chrometrace" => {
            Err("not offered: https://www.speedscope.app opens `--format collapsed`".to_owned())
        }
        name => name.parse().map_err(|error: crate::output::format::UnknownFormat| error.to_string()),
    }
}
