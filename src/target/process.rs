//! The target process: its identity, and the facts that decide whether it can be profiled.
//!
//! Does: find out that a process exists and is a live 64-bit program, and hold its paths and identity.
//! Does not: look for an interpreter in it, or attach to it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

use super::living::LivingThread;
use super::maps::Mappings;
use super::memory_budget::{self, Left, Meter, Share};
use super::root::TargetRoot;
use super::small_file;
use super::status::{Status, TaskState};
use super::threads;
use super::view::Identity;
use crate::types::Pid;

/// Longer maps are cut: nothing legitimate comes near.
const MAX_PROC_FILE: u64 = 64 << 20;
/// Longer command lines are cut: they are shown, not acted upon.
const MAX_COMMAND_LINE: u64 = 128 << 10;

/// Why a process cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such process.
    #[error("there is no process {0}")]
    NotFound(Pid),
    /// There is one, and `/proc` does not show it.
    #[error("process {0} is there, and /proc does not show it to fpprof")]
    Hidden(Pid),
    /// The id is that of a thread, not of a process.
    #[error("{tid} is a thread of process {process}")]
    IsThread {
        /// The id that was given.
        tid: Pid,
        /// The process to which it belongs.
        process: Pid,
    },
    /// It is dead, and waits for its parent.
    #[error("process {0} has ended (it is a zombie: its parent has not waited for it yet)")]
    Zombie(Pid),
    /// It is a thread of the kernel.
    #[error("process {0} is a kernel thread")]
    KernelThread(Pid),
    /// Its program is 32-bit or of another architecture.
    #[error("process {pid} runs a {what} program")]
    ForeignArchitecture {
        /// The process.
        pid: Pid,
        /// What its program is.
        what: String,
    },
    /// A file of it in `/proc` may not be read.
    #[error("process {pid} cannot be looked at: {source}")]
    Denied {
        /// The process.
        pid: Pid,
        /// What the system said.
        source: io::Error,
    },
}

/// A process that exists, runs a program, and may be looked at.
#[derive(Debug, Clone)]
pub struct Process {
    /// Which one it is.
    pub identity: Identity,
    /// When it was started, in clock ticks since boot: with the pid, its identity.
    start_time: u64,
    /// Its mappings, opened once: see [`Process::replaced`]. Absent where its first thread had ended by then.
    program: Option<Arc<File>>,
    /// What the kernel tells of its first thread, opened once: to find the file by its path takes longer than to read it, and a path with
    /// its id can lead to another process by now. The file is of this one for ever, and tells nothing once the id is free.
    first: Arc<File>,
    /// By which it is looked at.
    living: Arc<LivingThread>,
}

impl Process {
    /// Looks a process up.
    ///
    /// # Errors
    /// See [`ProcessError`]; permission to read `/proc/PID` files that ptrace's rules protect is part of it.
    pub fn open(pid: Pid) -> Result<Process, ProcessError> {
        let denied = |source| ProcessError::Denied { pid, source };
        // First: while it can be read at the end, all that was opened by the id meanwhile is of one process.
        let first = match File::open(format!("/proc/{pid}/task/{pid}/stat")) {
            Ok(file) => Some(Arc::new(file)),
            // It is a thread, or gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(denied(error)),
        };
        let status = read_status(pid).ok_or_else(|| unseen(pid))?;
        if status.thread_group != pid {
            return Err(ProcessError::IsThread { tid: pid, process: status.thread_group });
        }
        let first = first.ok_or(ProcessError::NotFound(pid))?;
        let living = LivingThread::of(pid);
        if !living.is_alive() {
            return Err(ProcessError::Zombie(pid));
        }
        if status.kernel_thread {
            return Err(ProcessError::KernelThread(pid));
        }
        let executable = match fs::read_link(living.path("exe")) {
            Ok(path) => path,
            // A kernel older than 6.12 has no `Kthread` line; only a kernel thread has no program.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ProcessError::KernelThread(pid)),
            Err(error) => return Err(denied(error)),
        };
        // Opened before the program is looked at: one that replaces it from here on is noticed.
        let has_first = living.tid().0 == pid.0;
        let program = has_first.then(|| File::open(maps_of_first(pid)).map_err(denied)).transpose()?;
        check_architecture(&living)?;
        let root = TargetRoot::through(&living).map_err(denied)?;
        let current_directory = fs::read_link(living.path("cwd")).ok();
        let command_line = command_line(&living);
        let (_, start_time) = state_and_start(&first).ok_or(ProcessError::NotFound(pid))?;
        let identity = Identity {
            pid,
            executable: root.as_target_names(without_deleted(executable)),
            command_line,
            current_directory: current_directory.map(|path| root.as_target_names(path)),
            namespace_pid: status.innermost_id().unwrap_or(pid.0),
            effective_uid: Some(status.uids.effective),
            start_time: Some(start_time),
        };
        Ok(Process { identity, start_time, program: program.map(Arc::new), first, living: Arc::new(living) })
    }

    /// Whether any thread of the process still runs; false once its id belongs to another.
    pub fn is_alive(&self) -> bool {
        // The first thread of most processes lives. Where it has ended another may live, as long as the id is the process's.
        state_and_start(&self.first).is_some_and(|(state, _)| !state.has_ended())
            || self.living.is_alive() && self.has_its_id()
    }

    /// Whether its id is still its own: then what was found by it until now is of this process.
    pub(super) fn has_its_id(&self) -> bool {
        state_and_start(&self.first).is_some()
    }

    /// The thread by which it is looked at.
    pub fn living(&self) -> &Arc<LivingThread> {
        &self.living
    }

    /// How long ago the process was started; an exec since does not count.
    pub fn age(&self) -> Option<Duration> {
        age(self.start_time)
    }

    /// The process with its new program, if it has replaced the one that it was opened with (execve(2)).
    ///
    /// A file of mappings that is open shows the address space that the process had when it was opened
    /// (`proc_maps_open` in the kernel's fs/proc/task_mmu.c), and nothing once nobody uses that any more. No number in
    /// `/proc` tells as surely: without address space randomisation the same program lies at the same addresses again.
    /// Whichever thread calls execve(2) becomes the first: where that had ended, its mappings are new ones.
    ///
    /// # Errors
    /// When the new program is none that can be looked at.
    pub fn replaced(&self) -> Option<Result<Process, ProcessError>> {
        let is_there = |file: &File| matches!(file.read_at(&mut [0], 0), Ok(1..));
        if self.program.as_deref().is_some_and(is_there) || !self.has_its_id() {
            return None;
        }
        // A process that ends has no address space either, for a moment in which it is not dead yet.
        let now = File::open(maps_of_first(self.identity.pid)).ok();
        let is_replaced = now.is_some_and(|file| is_there(&file)) && self.has_its_id();
        let opened = is_replaced.then(|| Process::open(self.identity.pid))?;
        // Between the two the id can have become another's.
        self.has_its_id().then_some(opened)
    }

    /// Its mappings, now.
    ///
    /// # Errors
    /// When it is gone or may not be looked at.
    pub fn mappings(&self) -> io::Result<Mappings> {
        let mappings = self.mappings_by_living();
        match &mappings {
            Ok(some) if !some.is_empty() => mappings,
            // Of a thread that has ended the file is empty, or gone.
            _ if self.living.follow() => self.mappings_by_living(),
            _ => mappings,
        }
    }

    fn mappings_by_living(&self) -> io::Result<Mappings> {
        let file = File::open(self.living.path("maps"))?.take(MAX_PROC_FILE);
        let mappings = Mappings::read(BufReader::new(file), &mut Meter::new(Share::Sampling))?;
        if mappings.is_cut() {
            memory_budget::leave_out(Left::Other("code behind the mappings that were read".to_owned()));
        }
        Ok(mappings)
    }
}

/// How long ago a process was started, in clock ticks since boot.
pub(super) fn age(start_time: u64) -> Option<Duration> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let ticks_a_second = sysconf(SysconfVar::CLK_TCK).ok()?.and_then(|ticks| u64::try_from(ticks).ok())?;
    let started = Duration::from_secs(start_time.checked_div(ticks_a_second)?);
    // The ticks of a second are too few to matter.
    Some(Duration::from(now).saturating_sub(started))
}

/// What the first thread does, and when it was started, by its open file; `None` once the kernel has forgotten it, with its id.
fn state_and_start(first: &File) -> Option<(TaskState, u64)> {
    let mut buffer = [0; small_file::MAX_STAT as usize];
    let len = first.read_at(&mut buffer, 0).ok()?;
    // A name that is no text says nothing of the numbers behind it.
    let text = String::from_utf8_lossy(buffer.get(..len)?);
    let mut fields = threads::fields_behind_name(&text)?;
    let state = TaskState::of_letter(*fields.next()?.as_bytes().first()?);
    Some((state, fields.nth(22 - 4)?.parse().ok()?))
}

/// Why `/proc` has no such process: a mount of it can hide those of other users (hidepid, proc(5)).
fn unseen(pid: Pid) -> ProcessError {
    match kill(nix::unistd::Pid::from_raw(pid.0), None) {
        Ok(()) | Err(Errno::EPERM) => ProcessError::Hidden(pid),
        Err(_) => ProcessError::NotFound(pid),
    }
}

/// `/proc/PID/status`, parsed; `None` when there is no such process.
pub fn read_status(pid: Pid) -> Option<Status> {
    threads::read_status(&format!("/proc/{pid}"))
}

/// The mappings of the process as its first thread has them: also when another thread, whose own number is gone then, has replaced
/// the program.
fn maps_of_first(pid: Pid) -> String {
    format!("/proc/{pid}/maps")
}

/// The path of a program that has been unlinked or replaced since it was started, as it was.
pub(super) fn without_deleted(path: PathBuf) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_suffix(b" (deleted)").map_or(path.clone(), |name| PathBuf::from(OsStr::from_bytes(name)))
}

fn command_line(living: &LivingThread) -> Vec<String> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(living.path("cmdline")) {
        // What could be read is enough: the command line is shown, not acted upon.
        let _ = file.take(MAX_COMMAND_LINE).read_to_end(&mut bytes);
    }
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    bytes.split(|&b| b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// The first bytes of the program say its class and machine (ELF header, `e_ident` and `e_machine`).
fn check_architecture(living: &LivingThread) -> Result<(), ProcessError> {
    let pid = living.pid();
    let mut header = [0; 20];
    let read = File::open(living.path("exe")).and_then(|mut f| f.read_exact(&mut header));
    read.map_err(|source| ProcessError::Denied { pid, source })?;
    let foreign = |what: &str| Err(ProcessError::ForeignArchitecture { pid, what: what.to_owned() });
    if !header.starts_with(b"\x7fELF") {
        return foreign("non-ELF");
    }
    let machine = u16::from_le_bytes([header[18], header[19]]);
    match (header[4], machine) {
        (1, _) => foreign("32-bit"),
        (_, machine) if machine == super::NATIVE_MACHINE => Ok(()),
        (_, machine) => foreign(&format!("foreign (ELF machine {machine})")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;

    use super::*;

    #[test]
    fn this_process_is_described() {
        let own = Process::open(Pid(std::process::id() as i32)).unwrap();
        assert!(own.is_alive());
        assert!(own.age().unwrap() < Duration::from_secs(3600), "{:?}", own.age());
        assert_eq!(own.identity.executable, std::env::current_exe().unwrap());
        assert_eq!(own.identity.command_line, std::env::args().collect::<Vec<_>>());
        assert!(!own.mappings().unwrap().is_empty());
        assert!(own.has_its_id());
    }

    /// What its path leads to is another process by then: in the place of that, this one's own is looked at by the id.
    #[test]
    fn a_process_that_has_ended_is_not_the_one_that_has_its_id_now() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let ended = Process::open(Pid(child.id() as i32)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let own = Process::open(Pid(std::process::id() as i32)).unwrap();
        let reused = Process { first: ended.first, program: ended.program, ..own };
        assert!(!reused.is_alive() && !reused.has_its_id() && reused.replaced().is_none());
    }

    #[test]
    fn what_cannot_be_a_target_is_told_apart() {
        assert!(matches!(Process::open(Pid(i32::MAX)), Err(ProcessError::NotFound(_))));
        let tid = std::thread::spawn(|| {
            let tid = Pid(nix::unistd::gettid().as_raw());
            assert!(matches!(Process::open(tid), Err(ProcessError::IsThread { .. })));
        });
        tid.join().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid(child.id() as i32);
        while read_status(pid).is_some_and(|s| s.state != TaskState::Zombie) {
            std::thread::yield_now();
        }
        assert!(matches!(Process::open(pid), Err(ProcessError::Zombie(_))));
        child.wait().unwrap();
    }

    /// `setarch -R` turns address space randomisation off: the second program is where the first one was, and so are
    /// its stack and its arguments.
    #[test]
    fn a_program_that_replaces_itself_by_the_same_program_is_noticed() {
        let mut command = std::process::Command::new("setarch");
        // The same arguments the second time; a line on its standard output each time.
        let again = r#"echo "$$"; read line && exec /bin/sh -c "$0" "$0""#;
        command.args(["-R", "/bin/sh", "-c", again, again]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut say = child.stdin.take().unwrap();
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let first = Process::open(Pid(child.id() as i32)).unwrap();
        assert!(first.replaced().is_none());
        say.write_all(b"again\n").unwrap();
        said.read_line(&mut line).unwrap();
        let second = first.replaced().expect("it has been replaced").unwrap();
        assert!(second.replaced().is_none());
        assert_eq!(
            (&second.identity.command_line, second.start_time),
            (&first.identity.command_line, first.start_time)
        );
        assert_eq!(second.mappings().unwrap().iter().next(), first.mappings().unwrap().iter().next());
        drop(say);
        child.wait().unwrap();
        assert!(second.replaced().is_none() && !second.is_alive(), "an end is no replacement");
    }
}
