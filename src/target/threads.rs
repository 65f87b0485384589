//! The threads of a process: which there are, and what each is doing right now.
//!
//! Does: list `/proc/PID/task` completely; tell what is known of a thread, alive or not.
//! Does not: stop a thread or read its stack.

mod activity;
mod live_thread;

pub use activity::{Activity, RunCount, Schedule, SystemCall};
pub use live_thread::read_status;
pub(super) use live_thread::{fields_behind_name, read_text};

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use self::live_thread::LiveThread;
use super::descriptors::FileKind;
use super::registers::Registers;
use super::status::TaskState;
use crate::types::{Pid, Tid};

/// Listing again and again must end, also against a process that makes threads without pause.
const MAX_LISTINGS: usize = 8;

/// A thread that does not run any more, of a target that is not alive: what its core file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillThread {
    /// Its id.
    pub tid: Tid,
    /// Its id in its innermost pid namespace.
    pub namespace_id: i32,
    /// Its name.
    pub name: Option<String>,
    /// All of its registers.
    pub registers: Registers,
    /// The system call in which it was.
    pub call: Option<SystemCall>,
    /// The kernel's word on it.
    pub state: Option<TaskState>,
}

/// One thread of the target.
#[derive(Debug)]
pub struct Thread {
    /// Its id.
    pub tid: Tid,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Live(LiveThread),
    Still(Box<StillThread>),
}

impl Thread {
    /// Opens the files of a live thread.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn open(pid: Pid, tid: Tid) -> io::Result<Thread> {
        Ok(Thread { tid, source: Source::Live(LiveThread::open(pid, tid)?) })
    }

    /// A thread that does not run any more.
    pub fn of_still(thread: StillThread) -> Thread {
        Thread { tid: thread.tid, source: Source::Still(Box::new(thread)) }
    }

    /// What is known of a thread that does not run any more; `None` of a live one.
    pub fn still(&self) -> Option<&StillThread> {
        match &self.source {
            Source::Live(_) => None,
            Source::Still(thread) => Some(thread),
        }
    }

    fn live(&self) -> Option<&LiveThread> {
        match &self.source {
            Source::Live(thread) => Some(thread),
            Source::Still(_) => None,
        }
    }

    /// How much the thread has run; `None` where the kernel does not tell or the thread is gone.
    pub fn run_count(&self) -> Option<RunCount> {
        match &self.source {
            Source::Live(thread) => {
                let Schedule { on_cpu, timeslices, .. } = thread.schedule()?;
                Some(RunCount { on_cpu: on_cpu.0, timeslices })
            }
            // It never runs again.
            Source::Still(_) => Some(RunCount { on_cpu: 0, timeslices: 0 }),
        }
    }

    /// What the scheduler has counted of it; `None` where the kernel does not tell or it is gone.
    pub fn schedule(&self) -> Option<Schedule> {
        self.live()?.schedule()
    }

    /// What the thread is doing.
    ///
    /// # Errors
    /// When the thread is gone, or its calls may not be looked at (the same permission as ptrace).
    pub fn activity(&mut self) -> io::Result<Activity> {
        match &mut self.source {
            Source::Live(thread) => thread.activity(),
            Source::Still(_) => Ok(Activity::Still),
        }
    }

    /// The CPU on which it runs or last ran (field 39 of `stat`).
    pub fn last_cpu(&mut self) -> Option<usize> {
        match &mut self.source {
            Source::Live(thread) => thread.stat_field(39)?.parse().ok(),
            Source::Still(_) => None,
        }
    }

    /// Its state (field 3 of `stat`).
    pub fn task_state(&mut self) -> Option<TaskState> {
        match &mut self.source {
            Source::Live(thread) => thread.task_state(),
            Source::Still(thread) => thread.state,
        }
    }

    /// Whether a tracer has it stand still.
    pub fn is_in_tracing_stop(&mut self) -> bool {
        match &mut self.source {
            Source::Live(thread) => thread.stat_field(3).is_some_and(|state| state == "t"),
            Source::Still(_) => false,
        }
    }

    /// Whether it has ended: gone, or a zombie, as a first thread that ends before the others stays one.
    pub fn has_ended(&self) -> bool {
        self.live().is_some_and(|thread| thread.status().is_none_or(|status| status.has_ended()))
    }

    /// Its name, as the kernel knows it (at most 15 bytes).
    pub fn name(&self) -> Option<String> {
        match &self.source {
            Source::Live(thread) => thread.name(),
            Source::Still(thread) => thread.name.clone(),
        }
    }

    /// Its id in its innermost pid namespace: what the interpreter calls its native id.
    pub fn namespace_id(&self) -> Option<i32> {
        match &self.source {
            Source::Live(thread) => Some(thread.status()?.innermost_id().unwrap_or(self.tid.0)),
            Source::Still(thread) => Some(thread.namespace_id),
        }
    }

    /// The process that a live thread belongs to.
    pub fn live_process(&self) -> Option<Pid> {
        Some(self.live()?.pid())
    }

    /// The kind of the file that one of its descriptors stands for.
    pub fn file_kind(&self, descriptor: i32) -> Option<FileKind> {
        FileKind::of(self.live_process()?, self.tid, descriptor)
    }
}

/// The directory in which a process's threads are, kept open: to look it up by its path each time takes four times as long.
///
/// # Errors
/// When the process is gone.
pub fn directory(pid: Pid) -> io::Result<File> {
    File::open(format!("/proc/{pid}/task"))
}

/// A number that changes with the number of threads of the process whose [`directory`] this is, for one system call. A directory has a
/// link for each subdirectory, and two more (proc's task directory keeps that count).
pub fn links(directory: &File) -> u64 {
    directory.metadata().map_or(0, |metadata| metadata.nlink())
}

/// All threads of a process: listed until a listing shows none that is new.
///
/// # Errors
/// When the process is gone.
pub fn list(pid: Pid) -> io::Result<Vec<Tid>> {
    let mut known = list_once(pid)?;
    for _ in 1..MAX_LISTINGS {
        let again = list_once(pid)?;
        let settled = again.iter().all(|tid| known.binary_search(tid).is_ok());
        known = again;
        if settled {
            break;
        }
    }
    Ok(known)
}

fn list_once(pid: Pid) -> io::Result<Vec<Tid>> {
    let mut tids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        if let Some(tid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            tids.push(Tid(tid));
        }
    }
    tids.sort_unstable();
    Ok(tids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_thread_is_listed_and_seen_blocked_in_its_call() {
        let pid = Pid(std::process::id() as i32);
        let (send, receive) = std::sync::mpsc::channel();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let worker = std::thread::spawn(move || {
            send.send(Tid(nix::unistd::gettid().as_raw())).unwrap();
            let _ = wait.recv();
        });
        let tid = receive.recv().unwrap();
        assert!(list(pid).unwrap().contains(&tid));
        let mut thread = Thread::open(pid, tid).unwrap();
        let blocked = loop {
            let before = thread.run_count();
            if let Activity::Blocked { call: Some(call), sp, pc } = thread.activity().unwrap() {
                assert_eq!(before, thread.run_count(), "a blocked thread does not run");
                break (call, sp, pc);
            }
            std::thread::yield_now();
        };
        assert_eq!(blocked.0.number, libc::SYS_futex as u64);
        assert!(!blocked.1.is_null() && !blocked.2.is_null());
        assert!(thread.last_cpu().is_some());
        assert_eq!(thread.task_state(), Some(TaskState::Blocked));
        release.send(()).unwrap();
        worker.join().unwrap();
    }
}
