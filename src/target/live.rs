//! A process that is alive, as a target.
//!
//! Does: open the files that it has mapped, through the kernel's own link to each or through its root; leave the rest to the
//! files of this folder. Does not: stop a thread.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{major, minor};
use nix::time::{clock_getcpuclockid, clock_gettime};

use super::maps::{FileId, Mapping, Mappings};
use super::memory::BulkMemory;
use super::process::{Process, without_deleted};
use super::process_memory::ProcessMemory;
use super::root::TargetRoot;
use super::threads::{self, Thread};
use super::view::{Identity, Target};
use crate::types::{Nanos, Tid};

/// A live process.
#[derive(Debug)]
pub struct LiveTarget {
    process: Process,
    memory: ProcessMemory,
    root: Arc<TargetRoot>,
    /// The directory of its threads.
    tasks: File,
}

impl LiveTarget {
    /// Opens what is needed of a process.
    ///
    /// # Errors
    /// When it is gone or may not be looked at.
    pub fn new(process: Process) -> io::Result<LiveTarget> {
        let living = process.living();
        let (memory, root) = (ProcessMemory::through(Arc::clone(living)), TargetRoot::through(living)?);
        let tasks = threads::directory(process.identity.pid)?;
        Ok(LiveTarget { process, memory, root: Arc::new(root), tasks })
    }
}

impl LiveTarget {
    /// What was just found by the id, if that was the process's all the while.
    fn of_it<T>(&self, found: T) -> io::Result<T> {
        if self.process.has_its_id() { Ok(found) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

impl Target for LiveTarget {
    fn identity(&self) -> &Identity {
        &self.process.identity
    }

    fn memory(&self) -> &dyn BulkMemory {
        &self.memory
    }

    fn mappings(&self) -> io::Result<Mappings> {
        self.process.mappings()
    }

    fn open_mapped(&self, mapping: &Mapping, id: FileId, path: &Path) -> Option<File> {
        // The link needs CAP_CHECKPOINT_RESTORE (proc_pid_map_files(5)), and works for files that are gone from the tree.
        let (living, start, end) = (self.process.living(), mapping.start.0, mapping.end.0);
        if let Ok(file) = File::open(living.process_path(&format!("map_files/{start:x}-{end:x}"))) {
            return Some(file);
        }
        // The link to the program needs no capability beyond what tracing takes, and works for one that is gone, too.
        let is_program = || std::fs::read_link(living.path("exe")).is_ok_and(|link| without_deleted(link) == path);
        let program = is_program().then(|| File::open(living.path("exe")).ok()).flatten();
        // A path in maps is relative to the reader's root where it can be reached from there, else to the target's.
        // Its inode alone does not show that it is the one: that can be chosen. So it must be one that the target's user could read.
        let in_its_root = self.root.open(&self.root.as_target_names(path.to_owned()));
        let in_ours = self.root.open_in_ours(path);
        // Where it is not known whether the target's root is ours, an equal inode of another device is another file.
        let is_root_known = self.root.refusal().is_none();
        let is_it = |file: &File| {
            let is_on_device = |device| (major(device), minor(device)) == (id.device.0.into(), id.device.1.into());
            let is_it =
                |metadata: fs::Metadata| metadata.ino() == id.inode && (is_root_known || is_on_device(metadata.dev()));
            file.metadata().is_ok_and(is_it)
        };
        program.into_iter().chain([in_its_root, in_ours].into_iter().flatten()).find(is_it)
    }

    fn root(&self) -> Arc<TargetRoot> {
        Arc::clone(&self.root)
    }

    fn threads(&self) -> io::Result<Vec<Tid>> {
        let tids = threads::list(self.process.identity.pid)?;
        self.of_it(tids)
    }

    fn thread_count(&self) -> u64 {
        threads::links(&self.tasks)
    }

    fn thread(&self, tid: Tid) -> io::Result<Thread> {
        let pid = self.process.identity.pid;
        let thread = Thread::open(pid, tid)?;
        // Only the first thread can have ended and be there.
        if tid.0 == pid.0 && thread.has_ended() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.of_it(thread)
    }

    fn cpu_time(&self) -> Option<Nanos> {
        let clock = clock_getcpuclockid(nix::unistd::Pid::from_raw(self.process.identity.pid.0)).ok()?;
        let time = Duration::from(clock_gettime(clock).ok()?);
        self.is_alive().then(|| Nanos::from(time))
    }

    fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    fn is_replaced(&self) -> bool {
        self.process.replaced().is_some()
    }
}
