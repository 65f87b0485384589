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
    /// The same over time: each thread's stacks in the order in which they were seen.
    FlameChart,
    /// One page for any browser: flame graph, functions, lines of source, threads over time.
    Html,
    /// A text line for each distinct stack: what flame graph tools and speedscope read.
    Collapsed,
    /// speedscope's own JSON, with the order of time.
    Speedscope,
    /// What `go tool pprof` and its kin read: protocol buffers, compressed by gzip.
    Pprof,
    /// A processed profile of the Firefox Profiler, JSON.
    Firefox,
    /// Trace events, JSON: what Perfetto and chrome://tracing read.
    ChromeTrace,
    /// A line of JSON for each sample, for programs.
    JsonLines,
}

/// A name that is no format's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format `{name}`: the formats are {}", all_names())]
pub struct UnknownFormat {
    name: String,
}

fn all_names() -> String {
    let names = Format::ALL.map(Format::name);
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{} and {last}", others.join(", "))
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 9] = [
        Format::FlameGraph,
        Format::FlameChart,
        Format::Html,
        Format::Collapsed,
        Format::Speedscope,
        Format::Pprof,
        Format::Firefox,
        Format::ChromeTrace,
        Format::JsonLines,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::FlameGraph => "flamegraph",
            Format::FlameChart => "flamechart",
            Format::Html => "html",
            Format::Collapsed => "collapsed",
            Format::Speedscope => "speedscope",
            Format::Pprof => "pprof",
            Format::Firefox => "firefox",
            Format::ChromeTrace => "chrometrace",
            Format::JsonLines => "jsonl",
        }
    }

    /// The extension, without a dot, of a file that is named for its format.
    pub fn extension(self) -> &'static str {
        match self {
            Format::FlameGraph => "svg",
            Format::FlameChart => "chart.svg",
            Format::Html => "html",
            Format::Collapsed => "txt",
            Format::Speedscope => "speedscope.json",
            Format::Pprof => "pb.gz",
            Format::Firefox => "firefox.json",
            Format::ChromeTrace => "trace.json",
            Format::JsonLines => "jsonl",
        }
    }

    /// How to look at a file of this format, as the end of "look at it with …".
    pub fn viewer(self) -> &'static str {
        match self {
            Format::FlameGraph | Format::FlameChart | Format::Html => "any web browser",
            Format::Collapsed => "https://www.speedscope.app, or inferno-flamegraph",
            Format::Speedscope => "https://www.speedscope.app",
            Format::Pprof => "`go tool pprof`",
            Format::Firefox => "https://profiler.firefox.com",
            Format::ChromeTrace => "https://ui.perfetto.dev",
            Format::JsonLines => "any program that reads JSON, such as jq",
        }
    }

    /// Whether it shows samples one by one, or what sums of stacks do not hold: when, of which thread, in which state.
    pub fn needs_samples(self) -> bool {
        !matches!(self, Format::FlameGraph | Format::Collapsed)
    }

    /// Whether it is JSON.
    pub fn is_json(self) -> bool {
        matches!(self, Format::Speedscope | Format::Firefox | Format::ChromeTrace | Format::JsonLines)
    }

    /// Whether it shows the text of Python files.
    pub fn shows_sources(self) -> bool {
        self == Format::Html
    }

    /// Whether it is lines of text, which a terminal or another program reads.
    pub fn is_lines(self) -> bool {
        matches!(self, Format::Collapsed | Format::JsonLines)
    }

    /// The format that a file's name stands for by its end, if it stands for one.
    pub fn from_path(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        // A name that is nothing but an extension is a hidden file without one.
        let ends = |extension: &str| {
            name.strip_suffix(extension).and_then(|stem| stem.strip_suffix('.')).is_some_and(|stem| !stem.is_empty())
        };
        let others = [("folded", Format::Collapsed), ("collapsed", Format::Collapsed), ("pprof", Format::Pprof)];
        // `chart.svg` ends as `svg` does.
        let named = Format::ALL.into_iter().rev().map(|format| (format.extension(), format));
        let mut fitting: Vec<_> = named.chain(others).filter(|(extension, _)| ends(extension)).collect();
        fitting.sort_by_key(|(extension, _)| std::cmp::Reverse(extension.len()));
        fitting.first().map(|(_, format)| *format)
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    /// By name. `raw` is py-spy's name for `collapsed`.
    fn from_str(name: &str) -> Result<Format, UnknownFormat> {
        match name {
            "raw" => Ok(Format::Collapsed),
            _ => Format::ALL
                .into_iter()
                .find(|format| format.name() == name)
                .ok_or_else(|| UnknownFormat { name: name.to_owned() }),
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
        assert_eq!(
            error.to_string(),
            "unknown format `png`: the formats are flamegraph, flamechart, html, collapsed, speedscope, pprof, firefox, chrometrace \
             and jsonl"
        );
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
            ("run.chart.svg", Some(Format::FlameChart)),
            ("x.pprof", Some(Format::Pprof)),
            ("x.gz", None),
            ("x.json", None),
            ("svg", None),
            (".svg", None),
        ] {
            assert_eq!(Format::from_path(Path::new(path)), format, "{path}");
        }
    }
}
