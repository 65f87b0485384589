//! The arguments of `fpprof doctor`.
//!
//! Does: declare them. Does not: act on them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::cli::memory_args::MemoryArgs;
use crate::cli::process_args::ProcessArgs;
use crate::cli::style::ColorArg;
use crate::cli::values::parse_pid;

/// `fpprof doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "A program that is started is examined one second later, or when it ends before; it runs on, and \
    its output goes to standard error.\n\nExit status:\n  0  it has been examined, whatever was found\n  1  it cannot be \
    examined, or is no Python that fpprof can read: the message says why\n  2  the command line is wrong\n\nExamples:\n  \
    fpprof doctor --pid 1234\n  fpprof doctor --pid 1234 --snapshot case.json\n  fpprof doctor -- python3 app.py\n  fpprof doctor /usr/bin/python3"
)]
#[command(group(ArgGroup::new("target").required(true).multiple(true)
    .args(["pid", "file", "program", "name", "cgroup", "container", "all"])))]
pub struct DoctorArgs {
    /// The process to examine.
    #[arg(short, long, value_name = "PID", value_parser = parse_pid)]
    pub pid: Option<i32>,

    /// More processes.
    #[command(flatten)]
    pub processes: ProcessArgs,

    /// The executable or library to examine, without running it.
    #[arg(value_name = "FILE", conflicts_with_all = ["pid", "program", "subprocesses", "name", "cgroup", "container", "all"])]
    pub file: Option<PathBuf>,

    /// The program to start and examine, with its arguments.
    #[arg(last = true, value_name = "PROGRAM", conflicts_with_all = ["pid", "subprocesses", "name", "cgroup", "container", "all"])]
    pub program: Vec<OsString>,

    /// Also save a thread's stack for a bug report, with all that fpprof reads to find it: `fpprof dump --from FILE` shows
    /// what it gives.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "subprocesses", "name", "cgroup", "container", "all"])]
    pub snapshot: Option<PathBuf>,

    /// The thread to save, by its id; else one whose stack is incomplete, or the main thread.
    #[arg(long, value_name = "TID", requires = "snapshot", value_parser = parse_pid)]
    pub thread: Option<i32>,

    /// Replace a file that fpprof has not written.
    #[arg(long, requires = "snapshot")]
    pub force: bool,

    /// Write JSON for programs; its schema is in docs/doctor.md.
    #[arg(short, long)]
    pub json: bool,

    /// How to colour the text.
    #[command(flatten)]
    pub color: ColorArg,

    /// How much memory it may take.
    #[command(flatten)]
    pub memory: MemoryArgs,
}
