//! The files of `/proc` that tell what a live thread does.
//!
//! Does: read a thread's `schedstat`, `syscall` and `stat` through files kept open.
//! Source: proc_pid_syscall(5), proc_pid_stat(5), Documentation/scheduler/sched-stats.rst of the kernel.
//! Does not: list threads.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::str::SplitAsciiWhitespace;

use super::activity::{Activity, Schedule, SystemCall};
use crate::target::small_file;
use crate::target::status::{Status, TaskState};
use crate::types::{Addr, Nanos, Pid, Tid};

/// One live thread.
#[derive(Debug)]
pub(super) struct LiveThread {
    pid: Pid,
    directory: String,
    schedstat: Option<File>,
    syscall: SyscallFile,
    stat: Option<File>,
}

/// The file that tells in which system call the thread is.
#[derive(Debug)]
enum SyscallFile {
    NotOpened,
    Open(File),
    /// It may not be opened, or the kernel has none.
    Refused,
}

impl LiveThread {
    /// Opens the files of a thread.
    ///
    /// # Errors
    /// When the thread is gone.
    pub(super) fn open(pid: Pid, tid: Tid) -> io::Result<LiveThread> {
        let directory = format!("/proc/{pid}/task/{tid}");
        fs::metadata(&directory)?;
        // A kernel without CONFIG_SCHED_INFO has no schedstat: such a thread is looked at every time.
        let schedstat = File::open(format!("{directory}/schedstat")).ok();
        Ok(LiveThread { pid, directory, schedstat, syscall: SyscallFile::NotOpened, stat: None })
    }

    /// The process that it belongs to.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Its name, as the kernel knows it.
    pub(super) fn name(&self) -> Option<String> {
        let bytes = small_file::read(format!("{}/comm", self.directory), small_file::MAX_STAT).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    /// What the scheduler has counted of it.
    pub(super) fn schedule(&self) -> Option<Schedule> {
        let mut buffer = [0; 96];
        let text = read_text(self.schedstat.as_ref()?, &mut buffer).ok()?;
        let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
        let (on_cpu, waited) = (Nanos(numbers.next()??), Nanos(numbers.next()??));
        Some(Schedule { on_cpu, waited, timeslices: numbers.next()?? })
    }

    /// See [`Thread::activity`](super::Thread::activity).
    pub(super) fn activity(&mut self) -> io::Result<Activity> {
        if matches!(self.syscall, SyscallFile::NotOpened) {
            self.open_syscall()?;
        }
        let SyscallFile::Open(file) = &self.syscall else { return self.activity_by_state() };
        let mut buffer = [0; 256];
        match parse_syscall(read_text(file, &mut buffer)?) {
            // What a zombie shows, which has no memory any more.
            Some(Activity::Blocked { call: None, sp: Addr::NULL, pc: Addr::NULL }) => {
                Err(io::ErrorKind::NotFound.into())
            }
            // A thread that another CPU is waking is neither blocked any more nor queued for a CPU yet (TASK_WAKING,
            // linux/sched.h): in a virtual machine, whose CPUs may themselves be waiting for one, for milliseconds.
            Some(Activity::Blocked { call: None, .. }) if self.task_state() == Some(TaskState::Running) => {
                Ok(Activity::Running)
            }
            activity => activity.ok_or_else(|| io::ErrorKind::InvalidData.into()),
        }
    }

    /// Its state.
    pub(super) fn task_state(&mut self) -> Option<TaskState> {
        Some(TaskState::of_letter(*self.stat_field(3)?.as_bytes().first()?))
    }

    /// A field of `stat` behind the name, as proc_pid_stat(5) counts them: from 3 on.
    pub(super) fn stat_field(&mut self, number: usize) -> Option<String> {
        if self.stat.is_none() {
            self.stat = File::open(format!("{}/stat", self.directory)).ok();
        }
        // Fifty numbers of up to twenty digits and a name of up to 64 bytes.
        let mut buffer = [0; 1200];
        let text = read_text(self.stat.as_ref()?, &mut buffer).ok()?;
        Some(fields_behind_name(text)?.nth(number.checked_sub(3)?)?.to_owned())
    }

    /// Its status.
    pub(super) fn status(&self) -> Option<Status> {
        read_status(&self.directory)
    }

    /// Opens the file that tells the thread's system call, or takes note that it is not to be had.
    fn open_syscall(&mut self) -> io::Result<()> {
        self.syscall = match File::open(format!("{}/syscall", self.directory)) {
            Ok(file) => SyscallFile::Open(file),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => SyscallFile::Refused,
            // The thread is gone, or the kernel has no such file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.task_state().is_some() => {
                SyscallFile::Refused
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// The same by what everybody may read of a thread.
    fn activity_by_state(&mut self) -> io::Result<Activity> {
        match self.task_state() {
            Some(TaskState::Running) => Ok(Activity::Running),
            Some(TaskState::Blocked | TaskState::Uninterruptible | TaskState::Stopped) => Ok(Activity::Asleep),
            Some(TaskState::Zombie | TaskState::Dead) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// The status of the process or thread whose directory in `/proc` this is.
pub fn read_status(directory: &str) -> Option<Status> {
    Status::parse(&String::from_utf8_lossy(
        &small_file::read(format!("{directory}/status"), small_file::MAX_STATUS).ok()?,
    ))
}

/// The fields of a `stat` from the third on. The name, in parentheses, may itself hold spaces and parentheses: field 3 comes behind the
/// last one.
pub(in crate::target) fn fields_behind_name(text: &str) -> Option<SplitAsciiWhitespace<'_>> {
    Some(text.rsplit_once(')')?.1.split_ascii_whitespace())
}

/// The text of a file that the kernel makes anew for each read from its beginning.
pub(in crate::target) fn read_text<'b>(file: &File, buffer: &'b mut [u8]) -> io::Result<&'b str> {
    let len = file.read_at(buffer, 0)?;
    let bytes = buffer.get(..len).unwrap_or_default();
    std::str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// `running`, or `-1 SP PC`, or `NUMBER ARG0 … ARG5 SP PC`.
fn parse_syscall(text: &str) -> Option<Activity> {
    let text = text.trim_end();
    if text == "running" {
        return Some(Activity::Running);
    }
    let hex = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let mut words = text.split_ascii_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let call = match u64::try_from(number) {
        Err(_) => None,
        Ok(number) => {
            let mut arguments = [0; 6];
            for argument in &mut arguments {
                *argument = hex(words.next()?)?;
            }
            Some(SystemCall { number, arguments })
        }
    };
    let sp = Addr(hex(words.next()?)?);
    let pc = Addr(hex(words.next()?)?);
    Some(Activity::Blocked { call, sp, pc })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_the_syscall_file() {
        assert_eq!(parse_syscall("running\n"), Some(Activity::Running));
        assert_eq!(
            parse_syscall("-1 0x10 0x20\n"),
            Some(Activity::Blocked { call: None, sp: Addr(0x10), pc: Addr(0x20) })
        );
        assert_eq!(
            parse_syscall("230 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffe 0x7f01\n"),
            Some(Activity::Blocked {
                call: Some(SystemCall { number: 230, arguments: [1, 2, 3, 4, 5, 6] }),
                sp: Addr(0x7ffe),
                pc: Addr(0x7f01)
            })
        );
        for garbage in ["", "x", "1 0x1", "-1", "-1 0x1", "1 2 3 4 5 6 7 8 9"] {
            assert_eq!(parse_syscall(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn where_the_call_is_not_told_the_state_tells_who_sleeps() {
        let (pid, own) = (Pid(std::process::id() as i32), Tid(nix::unistd::gettid().as_raw()));
        let (send, receive) = std::sync::mpsc::channel();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let worker = std::thread::spawn(move || {
            send.send(Tid(nix::unistd::gettid().as_raw())).unwrap();
            let _ = wait.recv();
        });
        let refused = |tid| LiveThread { syscall: SyscallFile::Refused, ..LiveThread::open(pid, tid).unwrap() };
        assert_eq!(refused(own).activity().unwrap(), Activity::Running);
        let mut sleeper = refused(receive.recv().unwrap());
        while sleeper.activity().unwrap() == Activity::Running {
            std::thread::yield_now();
        }
        assert_eq!(sleeper.activity().unwrap(), Activity::Asleep);
        release.send(()).unwrap();
        worker.join().unwrap();
        while sleeper.task_state().is_some() {
            std::thread::yield_now();
        }
        assert_eq!(sleeper.activity().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
