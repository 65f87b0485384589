//! The arguments of `fpprof record`.
//!
//! Does: spell every switch as py-spy does where py-spy has it. Does not: act on them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::memory_args::MemoryArgs;
use super::output_kind::{self, OutputKind};
use super::process_args::FollowArgs;
use super::shown_args::{FilterArgs, ShownArgs};
use super::values::{MaxOverhead, RecordingTime, parse_duration, parse_overhead, parse_pid, parse_rate};
use crate::sampler::clock::Intervals;
use crate::sampler::mode::Mode;

/// `fpprof record`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fpprof record --pid 1234 --duration 30s --output profile.svg\n  \
    fpprof record -- python3 script.py --its-own-option")]
#[command(group(clap::ArgGroup::new("target").required(true).multiple(true)
    .args(["pid", "program", "name", "cgroup", "container", "all"])))]
pub struct RecordArgs {
    /// The process to record.
    #[arg(short, long, value_name = "PID", value_parser = parse_pid)]
    pub pid: Option<i32>,

    /// The program to start and record, with its arguments. What follows it is the program's own.
    #[arg(trailing_var_arg = true, value_name = "PROGRAM", conflicts_with_all = ["pid", "name", "cgroup", "container", "all"])]
    pub program: Vec<OsString>,

    /// More processes.
    #[command(flatten)]
    pub follow: FollowArgs,

    /// Where the profile goes; `-` is standard output, and a program's own output then goes to standard error.
    /// [default: made of the program, the pid and the time]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The kind of profile: `flamegraph` or `flamechart` (SVG), `html` (one page with everything), `collapsed` (text), `speedscope`, `pprof`, `firefox`,
    /// `chrometrace`, `jsonl` (a line of JSON for each sample), or `fpprof` (every sample, for `fpprof
    /// report`). [default: by the extension of the output, else flamegraph]
    #[arg(short, long, value_parser = output_kind::parse)]
    pub format: Option<OutputKind>,

    /// How many samples a second to take, on average.
    #[arg(short, long, value_name = "HZ", default_value = "100", value_parser = parse_rate)]
    pub rate: f64,

    /// When to take samples: at random moments, so that no period of the program can lock onto the clock, or at fixed
    /// intervals.
    #[arg(long, value_enum, default_value_t = Intervals::Poisson)]
    pub clock: Intervals,

    /// The most that recording may take, in percent of the program's time (of that of each thread); of one CPU, fpprof
    /// itself takes at most five times that. Fewer samples are taken when it would be more. `none` lifts the limit.
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_overhead)]
    pub max_overhead: MaxOverhead,

    /// How long to record: seconds, or 90s, 5m, 1h; `unlimited`. [default: until Ctrl-C or the target's end]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<RecordingTime>,

    /// Let a program that was started run on when the time is over, instead of ending it (SIGINT, and SIGTERM after two seconds).
    #[arg(long, requires = "program")]
    pub keep_running: bool,

    /// Which threads to sample.
    #[arg(long, value_enum, default_value_t = Mode::Cpu)]
    pub mode: Mode,

    /// Sample threads that are idle, too: the same as `--mode wall`.
    #[arg(short, long, action = ArgAction::SetTrue, conflicts_with_all = ["mode", "gil"])]
    pub idle: bool,

    /// Sample only the thread that holds the GIL: the same as `--mode gil`.
    #[arg(short, long, action = ArgAction::SetTrue, conflicts_with_all = ["mode", "idle"])]
    pub gil: bool,

    /// Leave the text of the program's Python files out of a recording, and of a page (`html`).
    #[arg(long)]
    pub no_sources: bool,

    /// Replace the output also where fpprof has not written what is there.
    #[arg(long)]
    pub force: bool,

    /// Show no live line.
    #[arg(long)]
    pub hideprogress: bool,

    /// Which samples.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// How frames are shown.
    #[command(flatten)]
    pub shown: ShownArgs,

    /// Switches of py-spy that are refused.
    #[command(flatten)]
    pub refused: Refused,

    /// How much memory it may take.
    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// Switches that users of py-spy may type, and that this program has no use for.
#[derive(Debug, Args)]
pub struct Refused {
    #[arg(long, hide = true)]
    nonblocking: bool,
    #[arg(long, hide = true)]
    capture: bool,
}

impl Refused {
    /// The switch that was given, and what to do instead.
    pub fn given(&self) -> Option<(&'static str, &'static str)> {
        let switches = [
            (
                self.nonblocking,
                "--nonblocking",
                "Leave it out: blocked threads are never stopped, and running ones for tens of microseconds, without \
                 which stacks are wrong.",
            ),
            (self.capture, "--capture", "Leave it out: the program's output goes where fpprof's own would go."),
        ];
        switches.into_iter().find(|(given, ..)| *given).map(|(_, switch, instead)| (switch, instead))
    }
}

impl RecordArgs {
    /// The mode, whichever way it was given.
    pub fn mode(&self) -> Mode {
        match (self.idle, self.gil) {
            (true, _) => Mode::Wall,
            (_, true) => Mode::Gil,
            _ => self.mode,
        }
    }
}
