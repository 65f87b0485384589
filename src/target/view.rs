//! What fpprof needs of a target, alive or not.
//!
//! Does: define it, as a trait. Does not: look at a process; [`live`](super::live) does, and [`core`](super::core) at what a core
//! file holds of one.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::maps::{FileId, Mapping, Mappings};
use super::memory::BulkMemory;
use super::root::TargetRoot;
use super::threads::Thread;
use crate::types::{Nanos, Pid, Tid};

/// Which process a target is, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub pid: Pid,
    /// The program's path, as the process itself names it.
    pub executable: PathBuf,
    /// The command line, as it was given.
    pub command_line: Vec<String>,
    /// The current directory when it was opened.
    pub current_directory: Option<PathBuf>,
    /// The pid inside its innermost pid namespace.
    pub namespace_pid: i32,
    /// The user as whom it runs.
    pub effective_uid: Option<u32>,
    /// When it was started, in clock ticks since boot: its id can be another's later. Absent of one that does not live.
    pub start_time: Option<u64>,
}

impl Identity {
    /// The file name of its program.
    pub fn program_name(&self) -> String {
        self.executable.file_name().map_or_else(|| "process".to_owned(), |n| n.to_string_lossy().into_owned())
    }
}

/// A process, as it is or as it was: its memory, its files and its threads.
///
/// What it shows may be garbage, and of a live one may change between two looks.
pub trait Target: fmt::Debug + Send + Sync {
    /// Which process it is.
    fn identity(&self) -> &Identity;

    /// Its memory.
    fn memory(&self) -> &dyn BulkMemory;

    /// What is mapped in it now.
    ///
    /// # Errors
    /// When that cannot be told any more.
    fn mappings(&self) -> io::Result<Mappings>;

    /// The file behind a mapping: the mapped file itself, or one of the same name that is the same. `None` where it is gone.
    fn open_mapped(&self, mapping: &Mapping, id: FileId, path: &Path) -> Option<File>;

    /// The directory in which its paths begin.
    fn root(&self) -> Arc<TargetRoot>;

    /// Its threads, sorted.
    ///
    /// # Errors
    /// When they cannot be listed any more.
    fn threads(&self) -> io::Result<Vec<Tid>>;

    /// A number that changes with the number of its threads, for one system call at most.
    fn thread_count(&self) -> u64;

    /// One of its threads.
    ///
    /// # Errors
    /// When there is no such thread.
    fn thread(&self, tid: Tid) -> io::Result<Thread>;

    /// The CPU time that all its threads have used, those that have ended too; `None` where that is not told, or not any more.
    fn cpu_time(&self) -> Option<Nanos>;

    /// Whether any of it can still run.
    fn is_alive(&self) -> bool;

    /// Whether the process runs another program by now than the one that this is.
    fn is_replaced(&self) -> bool;

    /// Whether it is a core file: what the system shows now under its number, or in its files of that time, may be another's.
    fn is_core(&self) -> bool {
        false
    }
}
