//! The arguments of `fpprof report`, declared.
//!
//! Does: refuse values that make no sense. Does not: act on them.

use std::path::PathBuf;

use clap::Args;

use super::args::NativeArg;
use super::output_kind;
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

    /// The kind of profile: `flamegraph` or `flamechart` (SVG), `collapsed` (text), `speedscope`, `pprof`, `firefox`,
    /// `chrometrace`, `jsonl` (a line of JSON for each sample). [default: by the extension of the output,
    /// else flamegraph]
    #[arg(short, long, value_parser = output_kind::parse_shown)]
    pub format: Option<Format>,

    /// Leave out what was sampled before: seconds since the recording began.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub from: Option<u64>,

    /// Leave out what was sampled from then on: seconds since the recording began.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub to: Option<u64>,

    /// Only threads with such a name, or with this id; several times: any of them.
    #[arg(long, value_name = "PATTERN|ID")]
    pub thread: Vec<String>,

    /// Only stacks in which a frame has such a name; several times: any of them.
    #[arg(long, value_name = "PATTERN")]
    pub focus: Vec<String>,

    /// No stacks in which a frame has such a name; several times: none of them.
    #[arg(long, value_name = "PATTERN")]
    pub ignore: Vec<String>,

    /// Which native frames to show.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "calls", default_value_t = NativeArg::Calls)]
    pub native: NativeArg,

    /// Begin each stack with its thread.
    #[arg(short, long)]
    pub threads: bool,

    /// End each stack with what its thread did.
    #[arg(long)]
    pub states: bool,

    /// Sum samples up by function: show its first line instead of the line that was executing.
    #[arg(short = 'F', long)]
    pub function: bool,

    /// Leave line numbers out.
    #[arg(long)]
    pub nolineno: bool,

    /// Show the paths of Python files in full.
    #[arg(long)]
    pub full_filenames: bool,

    /// Begin stacks with their innermost frames: what took the time on top, its callers below. For `flamegraph` and
    /// `collapsed`.
    #[arg(long)]
    pub inverted: bool,

    /// Replace the output also where fpprof has not written what is there.
    #[arg(long)]
    pub force: bool,
}

/// Seconds as nanoseconds.
fn parse_seconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text.strip_suffix('s').unwrap_or(text).parse().map_err(|_| "write seconds: 10 or 2.5")?;
    let time = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| "write seconds from 0 on: 10 or 2.5")?;
    u64::try_from(time.as_nanos()).map_err(|_| "that is longer than any recording".to_owned())
}
