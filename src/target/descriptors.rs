//! Which kind of file a descriptor of the target stands for.
//!
//! Does: read the link `/proc/PID/task/TID/fd/N` (proc_pid_fd(5)), which tells it by its text.
//! Does not: open the file or ask for its status: either can wait for a server, which may be the target itself.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use crate::types::{Pid, Tid};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A socket of any family.
    Socket,
    /// A pipe without a name.
    Pipe,
    /// A terminal.
    Terminal,
    /// Another device.
    Device,
    /// A file with a path; a FIFO has one, too.
    File,
    /// An epoll instance.
    Epoll,
    /// A counter of eventfd(2).
    EventFd,
    /// A timer of timerfd_create(2).
    TimerFd,
    /// Signals, of signalfd(2).
    SignalFd,
    /// File system events, of inotify(7) or fanotify(7).
    Inotify,
    /// A process, of pidfd_open(2).
    PidFd,
    /// An io_uring(7).
    IoUring,
    /// Something else that has no path, or, in a file, a kind that a later version has written.
    #[serde(other)]
    Other,
}

impl FileKind {
    /// The kind of a thread's descriptor; `None` when there is no such descriptor, or it may not be looked at.
    pub fn of(pid: Pid, tid: Tid, descriptor: i32) -> Option<FileKind> {
        let link = fs::read_link(format!("/proc/{pid}/task/{tid}/fd/{descriptor}")).ok()?;
        Some(FileKind::of_link(link.as_os_str().as_bytes()))
    }

    /// The kind that a link's text tells.
    fn of_link(text: &[u8]) -> FileKind {
        let starts = |prefix: &str| text.starts_with(prefix.as_bytes());
        let prefixes = [
            ("socket:", FileKind::Socket),
            ("pipe:", FileKind::Pipe),
            ("/dev/pts/", FileKind::Terminal),
            ("/dev/tty", FileKind::Terminal),
            ("/dev/console", FileKind::Terminal),
            ("/dev/ptmx", FileKind::Terminal),
            // Shared memory lives in a folder of devices.
            ("/dev/shm/", FileKind::File),
            ("/dev/", FileKind::Device),
            ("/memfd:", FileKind::File),
            ("/", FileKind::File),
            ("anon_inode:[eventpoll]", FileKind::Epoll),
            ("anon_inode:[eventfd]", FileKind::EventFd),
            ("anon_inode:[timerfd]", FileKind::TimerFd),
            ("anon_inode:[signalfd]", FileKind::SignalFd),
            ("anon_inode:inotify", FileKind::Inotify),
            ("anon_inode:[fanotify]", FileKind::Inotify),
            ("anon_inode:[pidfd]", FileKind::PidFd),
            // Since Linux 6.9 a process has a file system of its own.
            ("pidfd:", FileKind::PidFd),
            ("anon_inode:[io_uring]", FileKind::IoUring),
        ];
        prefixes.into_iter().find(|(prefix, _)| starts(prefix)).map_or(FileKind::Other, |(_, kind)| kind)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Socket => "socket",
            FileKind::Pipe => "pipe",
            FileKind::Terminal => "terminal",
            FileKind::Device => "device",
            FileKind::File => "file",
            FileKind::Epoll => "epoll",
            FileKind::EventFd => "eventfd",
            FileKind::TimerFd => "timerfd",
            FileKind::SignalFd => "signalfd",
            FileKind::Inotify => "inotify",
            FileKind::PidFd => "pidfd",
            FileKind::IoUring => "io_uring",
            FileKind::Other => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_text_of_a_link_tells_the_kind() {
        for (text, kind) in [
            ("socket:[123]", FileKind::Socket),
            ("pipe:[123]", FileKind::Pipe),
            ("/dev/pts/3", FileKind::Terminal),
            ("/dev/null", FileKind::Device),
            ("/dev/shm/x", FileKind::File),
            ("/srv/x (deleted)", FileKind::File),
            ("/memfd:x (deleted)", FileKind::File),
            ("anon_inode:[eventpoll]", FileKind::Epoll),
            ("anon_inode:[pidfd]", FileKind::PidFd),
            ("pidfd:[7]", FileKind::PidFd),
            ("anon_inode:[perf_event]", FileKind::Other),
            ("", FileKind::Other),
        ] {
            assert_eq!(FileKind::of_link(text.as_bytes()), kind, "{text}");
        }
    }

    #[test]
    fn descriptors_are_looked_up_in_their_thread() {
        let (pid, tid) = (Pid(std::process::id() as i32), Tid(nix::unistd::gettid().as_raw()));
        let (read, _write) = nix::unistd::pipe().unwrap();
        assert_eq!(FileKind::of(pid, tid, read.as_raw_fd()), Some(FileKind::Pipe));
        assert_eq!(FileKind::of(pid, tid, -1), None);
    }
}
