//! The formats that a profile can be written in, and what they are called.
//!
//! Does: tell a format by its name or by a file's extension. Does not: write any.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A picture for any browser: SVG with search and zoom.
    FlameGraph,
    /// A text line for each distinct stack: what flame graph tools and speedscope read.
    Collapsed,
}

/// A name that is no format's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format `{0}`: the formats are flamegraph and collapsed")]
pub struct UnknownFormat(String);

impl Format {
    /// All formats.
    pub const ALL: [Format; 2] = [Format::FlameGraph, Format::Collapsed];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::FlameGraph => "flamegraph",
            Format::Collapsed => "collapsed",
        }
    }

    /// The extension, without a dot, of a file that is named for its format.
    pub fn extension(self) -> &'static str {
        match self {
            Format::FlameGraph => "svg",
            Format::Collapsed => "txt",
        }
    }

    /// How to look at a file of this format, as the end of "look at it with …".
    pub fn viewer(self) -> &'static str {
        match self {
            Format::FlameGraph => "any web browser",
            Format::Collapsed => "https://www.speedscope.app, or inferno-flamegraph",
        }
    }

    /// The format that a file's extension stands for, if it stands for one.
    pub fn from_path(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "svg" => Some(Format::FlameGraph),
            "txt" | "folded" | "collapsed" => Some(Format::Collapsed),
            _ => None,
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    /// By name. `raw` is py-spy's name for `collapsed`.
    fn from_str(name: &str) -> Result<Format, UnknownFormat> {
        match name {
            "flamegraph" => Ok(Format::FlameGraph),
            "collapsed" | "raw" => Ok(Format::Collapsed),
            _ => Err(UnknownFormat(name.to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_its_name() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert_eq!("raw".parse(), Ok(Format::Collapsed));
        let error = "png".parse::<Format>().expect_err("png is no format");
        assert_eq!(error.to_string(), "unknown format `png`: the formats are flamegraph and collapsed");
    }

    #[test]
    fn a_format_is_told_by_the_extension() {
        for format in Format::ALL {
            assert_eq!(Format::from_path(&Path::new("out").with_extension(format.extension())), Some(format));
        }
        for (path, format) in [
            ("a.b/profile.SVG", Some(Format::FlameGraph)),
            ("x.folded", Some(Format::Collapsed)),
            ("x.collapsed", Some(Format::Collapsed)),
            ("x.json", None),
            ("svg", None),
            (".svg", None),
        ] {
            assert_eq!(Format::from_path(Path::new(path)), format, "{path}");
        }
    }
}
