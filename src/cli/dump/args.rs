//! The arguments of `fpprof dump`.
//!
//! Does: declare them. Does not: act on them.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::cli::memory_args::MemoryArgs;
use crate::cli::process_args::ProcessArgs;
use crate::cli::style::ColorArg;
use crate::cli::values::parse_pid;
use crate::symbolize::names::NativeFrames;

/// `fpprof dump`.
#[derive(Debug, Args)]
#[command(after_help = "Threads that are blocked are read without being stopped; one that runs stands still for some \
    microseconds.\n\nExit status:\n  0  the threads are shown; of one that could not be read, the reason is\n  1  the \
    process, the core file or the snapshot cannot be read\n  2  the command line is wrong\n\nExamples:\n  fpprof dump --pid 1234\n  \
    fpprof dump --pid 1234 --native all --json\n  fpprof dump core.4711 --locals\n  fpprof dump --from case.json")]
#[command(group(ArgGroup::new("source").required(true).multiple(true)
    .args(["pid", "from", "core", "name", "cgroup", "container", "all"])))]
pub struct DumpArgs {
    /// The core file to look at, of the kernel's, of gdb's `gcore` or of systemd-coredump's (zstd, lz4, xz), also one that is cut.
    #[arg(value_name = "CORE", conflicts_with_all = ["pid", "subprocesses", "name", "cgroup", "container", "all", "from"])]
    pub core: Option<PathBuf>,

    /// The program that the core is of. Without it, and for its libraries, the files that the core names are looked at; none is used that
    /// is not the same.
    #[arg(value_name = "EXECUTABLE", requires = "core")]
    pub executable: Option<PathBuf>,

    /// The process to look at.
    #[arg(short, long, value_name = "PID", value_parser = parse_pid)]
    pub pid: Option<i32>,

    /// More processes.
    #[command(flatten)]
    pub processes: ProcessArgs,

    /// The snapshot to show, which `fpprof doctor --snapshot` has saved: the thread's stack is found anew, as in the process.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pid", "subprocesses", "name", "cgroup", "container", "all"])]
    pub from: Option<PathBuf>,

    /// Look for the files that a core names below this folder: that of a container's files, or of another machine's.
    #[arg(long, value_name = "FOLDER", requires = "core")]
    pub modules: Option<PathBuf>,

    /// Which native frames to show.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "calls", default_value_t = NativeFrames::Calls)]
    pub native: NativeFrames,

    /// The same as `--native calls`.
    #[arg(short = 'n', conflicts_with = "native")]
    pub native_calls: bool,

    /// Look up the lines of native code, and the functions that compilers have inlined. Where there is debug information,
    /// that takes some hundred milliseconds.
    #[arg(short, long)]
    pub lines: bool,

    /// Show the local variables of Python functions: numbers, strings and containers as far as they are short, other objects by
    /// their type. A thread that runs stands still for some milliseconds meanwhile.
    #[arg(long, conflicts_with = "from")]
    pub locals: bool,

    /// Write JSON for programs; its schema is in docs/dump.md.
    #[arg(short, long)]
    pub json: bool,

    /// Show the paths of files in full. JSON always has them in full.
    #[arg(long)]
    pub full_filenames: bool,

    /// How to colour the text.
    #[command(flatten)]
    pub color: ColorArg,

    /// How much memory it may take.
    #[command(flatten)]
    pub memory: MemoryArgs,
}
