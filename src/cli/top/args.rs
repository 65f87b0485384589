//! The arguments of `fpprof top`.
//!
//! Does: declare them. Does not: act on them.

use std::ffi::OsString;

use clap::{ArgGroup, Args};

use crate::cli::memory_args::MemoryArgs;
use crate::cli::process_args::FollowArgs;
use crate::cli::style::ColorArg;
use crate::cli::values::{MaxOverhead, parse_overhead, parse_pid, parse_rate};
use crate::symbolize::names::NativeFrames;

/// `fpprof top`.
#[derive(Debug, Args)]
#[command(
    after_help = "Press ? for the keys.\n\nExit status:\n  0  it was ended by a key or a signal\n  1  the process cannot be \
    read, or there is no terminal\n  2  the command line is wrong\n\nExamples:\n  fpprof top --pid 1234\n  fpprof top -- python3 app.py"
)]
#[command(group(ArgGroup::new("target").required(true).multiple(true)
    .args(["pid", "program", "name", "cgroup", "container", "all"])))]
pub struct TopArgs {
    /// The process to watch.
    #[arg(short, long, value_name = "PID", value_parser = parse_pid)]
    pub pid: Option<i32>,

    /// The program to start and watch, with its arguments. Its output is discarded: the terminal is taken.
    #[arg(trailing_var_arg = true, value_name = "PROGRAM", conflicts_with_all = ["pid", "name", "cgroup", "container", "all"])]
    pub program: Vec<OsString>,

    /// More processes.
    #[command(flatten)]
    pub follow: FollowArgs,

    /// How many samples a second to take, on average.
    #[arg(short, long, value_name = "HZ", default_value = "100", value_parser = parse_rate)]
    pub rate: f64,

    /// The most that sampling may take, as for `fpprof record`.
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_overhead)]
    pub max_overhead: MaxOverhead,

    /// Which native functions to show by themselves at first: else their time is in the functions of Python that have called them.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "calls", default_value_t = NativeFrames::None)]
    pub native: NativeFrames,

    /// Count threads that wait, too, at first.
    #[arg(short, long)]
    pub idle: bool,

    /// How to colour the text.
    #[command(flatten)]
    pub color: ColorArg,

    /// How much memory it may take.
    #[command(flatten)]
    pub memory: MemoryArgs,
}
