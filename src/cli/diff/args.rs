//! The arguments of `fpprof diff`.
//!
//! Does: declare them. Does not: act on them.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::folder_args::ModulesArg;
use crate::cli::memory_args::MemoryArgs;
use crate::cli::shown_args::{FilterArgs, SpanArgs};
use crate::cli::style::ColorArg;
use crate::profile::comparison::Unit;
use crate::symbolize::names::NativeFrames;

/// `fpprof diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status:\n  0  the recordings were compared, whatever has changed\n  1  one of them cannot be read, or has \
    nothing to compare\n  2  the command line is wrong\n\nExamples:\n  fpprof diff before.fpprof after.fpprof\n  fpprof diff \
    before.fpprof after.fpprof --output change.svg\n\nA PATTERN is a part of the name; `*` in it stands for any text."
)]
pub struct DiffArgs {
    /// The recording to compare with.
    pub before: PathBuf,

    /// The recording to compare.
    pub after: PathBuf,

    /// Where the comparison goes. [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// `table` of what grew and shrank, for people; `json`, for programs; a `flamegraph` (SVG) with the changes. [default: by
    /// the extension of the output, else table]
    #[arg(short, long, value_enum)]
    pub format: Option<DiffFormat>,

    /// What to compare: shares of the samples, for recordings of any length, or seconds of thread time, for recordings of the same
    /// work.
    #[arg(long, value_enum, default_value_t = UnitArg::Share)]
    pub unit: UnitArg,

    /// Show functions whose change sampling alone explains, too.
    #[arg(short, long)]
    pub all: bool,

    /// Whose stacks the flame graph is of: functions that are gone are in the one before only.
    #[arg(long, value_enum, default_value_t = Side::After)]
    pub stacks: Side,

    /// Where files of modules are.
    #[command(flatten)]
    pub modules: ModulesArg,

    /// Replace the output also where fpprof has not written what is there.
    #[arg(long)]
    pub force: bool,

    /// Show no live line.
    #[arg(long)]
    pub hideprogress: bool,

    /// Which native frames to compare.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "calls", default_value_t = NativeFrames::Calls)]
    pub native: NativeFrames,

    /// How to colour the table.
    #[command(flatten)]
    pub color: ColorArg,

    /// What part of the time of each.
    #[command(flatten)]
    pub span: SpanArgs,

    /// Which samples.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// How much memory it may take.
    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// How a comparison is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For a browser.
    Flamegraph,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UnitArg {
    /// Shares of the samples.
    Share,
    /// Seconds of thread time.
    Seconds,
}

/// One of the two recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// The first.
    Before,
    /// The second.
    After,
}

impl DiffArgs {
    /// How the comparison is shown.
    pub fn format(&self) -> DiffFormat {
        let extension =
            self.output.as_deref().and_then(Path::extension).map(|extension| extension.to_ascii_lowercase());
        let by_extension = match extension.as_deref().and_then(std::ffi::OsStr::to_str) {
            Some("svg") => DiffFormat::Flamegraph,
            Some("json") => DiffFormat::Json,
            _ => DiffFormat::Table,
        };
        self.format.unwrap_or(by_extension)
    }
}

impl From<UnitArg> for Unit {
    fn from(unit: UnitArg) -> Unit {
        match unit {
            UnitArg::Share => Unit::Share,
            UnitArg::Seconds => Unit::Seconds,
        }
    }
}
