//! The arguments of every command that makes an output of samples: which of them, and how their frames are shown.
//!
//! Does: declare them, once, and resolve them into a choice. Does not: act on it.

use clap::Args;

use crate::output::label::LabelOptions;
use crate::profile::processes::ProcessLabels;
use crate::report::options::{Filter, ReportOptions, Span};
use crate::symbolize::names::NativeFrames;

/// Which samples.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which samples")]
pub struct FilterArgs {
    /// Only threads with such a name, or with this id; several times: any of them.
    #[arg(long, value_name = "PATTERN|ID")]
    pub thread: Vec<String>,

    /// Only stacks in which a frame has such a name, file or module; several times: any of them.
    #[arg(long, value_name = "PATTERN")]
    pub focus: Vec<String>,

    /// No stacks in which a frame has such a name, file or module; several times: none of them.
    #[arg(long, value_name = "PATTERN")]
    pub ignore: Vec<String>,
}

impl FilterArgs {
    /// The first switch that was given.
    pub fn given(&self) -> Option<&'static str> {
        let switches = [("--thread", &self.thread), ("--focus", &self.focus), ("--ignore", &self.ignore)];
        switches.into_iter().find(|(_, patterns)| !patterns.is_empty()).map(|(switch, _)| switch)
    }
}

/// What part of a recording's time.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Which samples")]
pub struct SpanArgs {
    /// Leave out what was sampled before: seconds since the recording began.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub from: Option<u64>,

    /// Leave out what was sampled from then on: seconds since the recording began.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub to: Option<u64>,
}

/// How frames are shown.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How frames are shown")]
pub struct ShownArgs {
    /// Which native frames to show.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "calls", default_value_t = NativeFrames::Calls)]
    pub native: NativeFrames,

    /// The same as `--native calls`.
    #[arg(short = 'n', conflicts_with = "native")]
    pub native_calls: bool,

    /// Of several processes, show those of one role (`gunicorn: worker [shop]`) as one.
    #[arg(long)]
    pub merge_processes: bool,

    /// Begin each stack with its thread.
    #[arg(short, long)]
    pub threads: bool,

    /// End each stack with what its thread did: `[on CPU: Python]`, `[waiting for the GIL]`, `[I/O: read pipe]`,
    /// `[sleeping]`. Of most use with what was recorded in wall mode.
    #[arg(long)]
    pub states: bool,

    /// Sum samples up by function: show its first line instead of the line that was executing.
    #[arg(short = 'F', long)]
    pub function: bool,

    /// Leave line numbers out.
    #[arg(long)]
    pub nolineno: bool,

    /// Show the paths of files in full.
    #[arg(long)]
    pub full_filenames: bool,

    /// Begin stacks with their innermost frames: what took the time on top, its callers below. For `flamegraph` and
    /// `collapsed`.
    #[arg(long)]
    pub inverted: bool,
}

impl ShownArgs {
    /// The switches that were given and that a recording, which keeps everything, has no use for.
    pub fn for_reports(&self) -> Vec<&'static str> {
        let switches = [
            (self.merge_processes, "--merge-processes"),
            (self.threads, "--threads"),
            (self.states, "--states"),
            (self.function, "--function"),
            (self.nolineno, "--nolineno"),
            (self.full_filenames, "--full-filenames"),
        ];
        switches.into_iter().filter(|(given, _)| *given).map(|(_, switch)| switch).collect()
    }

    /// How frames are labelled.
    pub fn labels(&self) -> LabelOptions {
        LabelOptions { by_function: self.function, no_line_numbers: self.nolineno }
    }
}

/// What the arguments ask for.
pub fn choice(span: SpanArgs, filter: &FilterArgs, shown: &ShownArgs) -> ReportOptions {
    ReportOptions {
        span: span.into(),
        filter: filter.into(),
        native: shown.native,
        processes: if shown.merge_processes { ProcessLabels::Merged } else { ProcessLabels::Each },
        with_thread: shown.threads,
        with_state: shown.states,
        full_filenames: shown.full_filenames,
        inverted: shown.inverted,
        modules: None,
    }
}

impl From<SpanArgs> for Span {
    fn from(SpanArgs { from, to }: SpanArgs) -> Span {
        Span { from, to }
    }
}

impl From<&FilterArgs> for Filter {
    fn from(args: &FilterArgs) -> Filter {
        let FilterArgs { thread, focus, ignore } = args.clone();
        Filter { pids: Vec::new(), thread, focus, ignore }
    }
}

/// Seconds as nanoseconds.
fn parse_seconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text.strip_suffix('s').unwrap_or(text).parse().map_err(|_| "write seconds: 10 or 2.5")?;
    let time = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| "write seconds from 0 on: 10 or 2.5")?;
    u64::try_from(time.as_nanos()).map_err(|_| "that is longer than any recording".to_owned())
}
