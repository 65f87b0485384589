//! A thread by which its process can be looked at.
//!
//! Does: name the files of a process through a thread of it that has not ended, and choose another where it has; tell by when it was
//! started whether a process is still the same.
//! Does not: read a thread.
//!
//! The first thread of a process can end before the others (`pthread_exit` in `main`). It stays, as a zombie, under the process's
//! number, and has neither memory nor mappings, root or program any more; each of the others has them all (proc_pid_task(5)).

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use super::{small_file, threads};
use crate::types::{Pid, Tid};

/// A thread of a process that has not ended when it was last looked at; the first one for as long as that has not.
#[derive(Debug)]
pub struct LivingThread {
    pid: Pid,
    tid: AtomicI32,
}

impl LivingThread {
    /// The first thread of a process, whether it lives or not: nothing is looked at.
    pub fn first(pid: Pid) -> LivingThread {
        LivingThread { pid, tid: AtomicI32::new(pid.0) }
    }

    /// A thread of a process that lives; the first one where none does.
    pub fn of(pid: Pid) -> LivingThread {
        let living = LivingThread::first(pid);
        living.follow();
        living
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The thread.
    pub fn tid(&self) -> Tid {
        Tid(self.tid.load(Ordering::Relaxed))
    }

    /// A file of `/proc` that the thread has like its process.
    pub fn path(&self, file: &str) -> String {
        let (pid, tid) = (self.pid, self.tid());
        match tid.0 == pid.0 {
            true => format!("/proc/{pid}/{file}"),
            // Not by its number alone, which could be another process's by now.
            false => format!("/proc/{pid}/task/{tid}/{file}"),
        }
    }

    /// A file of `/proc` that only whole processes list, and the number of any of its threads leads to as well.
    pub fn process_path(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.tid())
    }

    /// Whether the system does not let us see in which system calls the threads of the process are blocked:
    /// [`Activity::Asleep`](super::threads::Activity::Asleep).
    pub fn hides_calls(&self) -> bool {
        File::open(self.path("syscall")).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether any thread of the process lives.
    pub fn is_alive(&self) -> bool {
        lives(self.pid, self.tid()) || self.follow()
    }

    /// Chooses another thread if this one has ended. Returns whether it has, and another lives.
    pub fn follow(&self) -> bool {
        let before = self.tid();
        if lives(self.pid, before) {
            return false;
        }
        let tids = threads::list(self.pid).unwrap_or_default();
        let Some(living) = tids.into_iter().find(|tid| lives(self.pid, *tid)) else { return false };
        self.tid.store(living.0, Ordering::Relaxed);
        living != before
    }
}

/// Whether a thread is there, and has not ended.
fn lives(pid: Pid, tid: Tid) -> bool {
    threads::read_status(&format!("/proc/{pid}/task/{tid}")).is_some_and(|status| !status.has_ended())
}

/// When a process was started, in clock ticks since boot (proc_pid_stat(5), field 22).
pub(super) fn start_time(pid: Pid) -> Option<u64> {
    let text = small_file::read(format!("/proc/{pid}/stat"), small_file::MAX_STAT).ok()?;
    threads::fields_behind_name(&String::from_utf8_lossy(&text))?.nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_thread_that_has_ended_is_replaced_by_one_that_lives() {
        let pid = Pid(std::process::id() as i32);
        let ended = std::thread::spawn(|| nix::unistd::gettid().as_raw()).join().unwrap();
        let living = LivingThread { pid, tid: AtomicI32::new(ended) };
        // A thread that was joined is gone a moment later.
        while lives(pid, Tid(ended)) {
            std::thread::yield_now();
        }
        assert!(living.follow());
        assert!(living.tid() != Tid(ended) && living.is_alive());
        assert!(!living.follow(), "it lives");
        assert!(fs::read(living.path("maps")).is_ok_and(|maps| !maps.is_empty()));
        assert!(fs::read(living.process_path("maps")).is_ok_and(|maps| !maps.is_empty()));
    }

    #[test]
    fn a_process_that_is_gone_has_none() {
        let living = LivingThread::of(Pid(i32::MAX));
        assert_eq!((living.is_alive(), living.follow(), living.tid()), (false, false, Tid(i32::MAX)));
    }
}
