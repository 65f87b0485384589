//! The arguments of `fpprof report`, declared.
//!
//! Does: refuse values that make no sense. Does not: act on them.

use std::path::PathBuf;

use clap::Args;

use super::folder_args::ModulesArg;
use super::memory_args::MemoryArgs;
use super::output_kind;
use super::shown_args::{FilterArgs, ShownArgs, SpanArgs};
use super::values::parse_pid;
use crate::output::format::Format;

/// `fpprof report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fpprof report run.fpprof --output profile.svg\n  \
    fpprof report run.fpprof --from 10 --to 12.5 --thread MainThread --format collapsed\n\n\
    A PATTERN is a part of the name; `*` in it stands for any text.")]
pub struct ReportArgs {
    /// A recording: what `fpprof record --output run.fpprof` has written.
    pub recording: PathBuf,

    /// Where the profile goes; `-` is standard output. [default: the recording's name with the format's extension; standard
    /// output for `--format collapsed` and `jsonl`]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The kind of profile: `flamegraph` or `flamechart` (SVG), `html` (one page with everything), `collapsed` (text), `speedscope`, `pprof`, `firefox`,
    /// `chrometrace`, `jsonl` (a line of JSON for each sample). [default: by the extension of the output,
    /// else flamegraph]
    #[arg(short, long, value_parser = output_kind::parse_shown)]
    pub format: Option<Format>,

    /// Look for Python files whose text the recording does not hold below this folder, by their paths. For `html`; without it, no file that
    /// the recording names is opened.
    #[arg(long, value_name = "FOLDER")]
    pub sources: Option<PathBuf>,

    /// Only this process of a recording of several. May be given several times.
    #[arg(short, long, value_name = "PID", value_parser = parse_pid)]
    pub pid: Vec<i32>,

    /// Where files of modules are.
    #[command(flatten)]
    pub modules: ModulesArg,

    /// Replace the output also where fpprof has not written what is there.
    #[arg(long)]
    pub force: bool,

    /// Show no live line.
    #[arg(long)]
    pub hideprogress: bool,

    /// What part of its time.
    #[command(flatten)]
    pub span: SpanArgs,

    /// Which samples.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// How frames are shown.
    #[command(flatten)]
    pub shown: ShownArgs,

    /// How much memory it may take.
    #[command(flatten)]
    pub memory: MemoryArgs,
}
