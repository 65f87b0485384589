//! The arguments of `fpprof bug-report`.
//!
//! Does: declare them. Does not: act on them.

use std::path::PathBuf;

use clap::Args;

use crate::cli::values::parse_pid;

/// `fpprof bug-report`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file is JSON. It holds versions, the kernel's settings that matter, what `fpprof doctor` says, and one stack \
    with what it was found from (`fpprof dump --from FILE` shows it); no values, arguments, environment, contents of the stack, or \
    names of users. A process that cannot be read is reported, too, with the reason.\n\nExit status:\n  0  the report was written\n  \
    1  it cannot be written: the message says why\n  2  the command line is wrong\n\nExamples:\n  \
    fpprof bug-report --pid 1234\n  fpprof bug-report --output report.json"
)]
pub struct BugReportArgs {
    /// The process that the bug shows in.
    #[arg(short, long, value_name = "PID", value_parser = parse_pid)]
    pub pid: Option<i32>,

    /// The thread whose stack is reported, by its id; else one whose stack is incomplete, or the main thread.
    #[arg(long, value_name = "TID", requires = "pid", value_parser = parse_pid)]
    pub thread: Option<i32>,

    /// Where the report goes; `-` is standard output. [default: made of the pid and the time]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Replace a file that fpprof has not written.
    #[arg(long)]
    pub force: bool,
}
