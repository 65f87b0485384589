//! A process that may run Python, now or soon.
//!
//! Does: look into it, seldom when it stays what it is, and tell what it is. Does not: choose it.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use crate::process::binaries::Binaries;
use crate::process::find::OpenError;
use crate::python::runtime::RuntimeError;
use crate::sampler::mode::Mode;
use crate::sampler::open::{self, AttachError};
use crate::sampler::session::Session;
use crate::target::maps::Mappings;
use crate::target::process::{Process, ProcessError};
use crate::target::process_table::{ProcessEntry, program_of};
use crate::target::shared_memory::shares_memory;
use crate::types::Pid;

/// What has just been forked is mostly about to become another program: looked into at once it would be its parent's once more.
const FIRST_LOOK: Duration = Duration::from_millis(8);
/// A look comes when so much of the time has passed again that the process is known for: what changes early is seen early.
const OF_ITS_AGE: u32 = 6;
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// And so much later for each process that is known: with thousands, looks take a hundredth of a CPU or two.
const AND_FOR_EACH: Duration = Duration::from_millis(5);
/// But this often it is looked whether it is another program by now, which takes some microseconds.
const SAME_PROGRAM_EVERY: Duration = Duration::from_secs(1);
/// A look takes milliseconds, on a full machine a second. Who takes longer is left alone.
const HELD_UP: Duration = Duration::from_secs(2);
/// For so long an error can be that of an interpreter which is just starting.
const STARTING: Duration = Duration::from_secs(2);
/// Where so many processes are known, those of programs that are known to run no Python are looked into last.
const CROWD: usize = 200;
/// So many kinds of programs are remembered that are not Python.
const MAX_KINDS: usize = 4096;

/// What a look has found.
pub enum Look {
    /// Not yet.
    Later,
    /// It is gone. `too_soon`: before it was ever looked into.
    Gone { too_soon: bool },
    /// It is nothing that ever runs Python: a thread of the kernel, a program of another architecture.
    Never,
    /// It runs Python.
    Found { session: Box<Session>, is_born: bool },
    /// It cannot be sampled.
    Refused { name: String, reason: String },
}

/// Programs without Python: `git` is looked into once, not a thousand times.
#[derive(Debug, Default)]
pub struct OtherPrograms {
    /// By the files that they have mapped.
    kinds: FxHashSet<u64>,
    /// By their paths: those of processes that had run for some time.
    paths: FxHashSet<PathBuf>,
}

impl OtherPrograms {
    fn add(&mut self, kind: u64, process: &Process) {
        if self.kinds.len() >= MAX_KINDS {
            self.kinds.clear();
            self.paths.clear();
        }
        self.kinds.insert(kind);
        // What has just been started may have no library mapped yet, Python's too.
        if process.age().is_some_and(|age| age >= STARTING) {
            self.paths.extend(program_of(process.identity.pid));
        }
    }
}

/// The same, known to those who look.
pub type KnownPrograms = Arc<Mutex<OtherPrograms>>;

/// A thread that has panicked leaves them as they were.
fn locked(others: &KnownPrograms) -> MutexGuard<'_, OtherPrograms> {
    others.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that may run Python.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which.
    pub pid: Pid,
    /// When it was started: its id can be another's before it is looked into.
    start_time: u64,
    /// Whether it was started after the first look, and has had no other program that was sampled.
    is_new: bool,
    since: Instant,
    next: Instant,
    was_looked_into: bool,
    /// The program that runs no Python, and until when that is taken for granted.
    other: Option<(PathBuf, Instant)>,
    /// Why it could not be looked into, when that was tried last.
    trouble: Option<String>,
}

impl Candidate {
    /// One that was started a moment ago: it is looked into in a moment.
    pub fn started((pid, start_time): (Pid, u64)) -> Candidate {
        Candidate { is_new: true, next: Instant::now() + FIRST_LOOK, ..Candidate::known((pid, start_time)) }
    }

    /// One that is there for longer: it is looked into at once.
    pub fn known((pid, start_time): (Pid, u64)) -> Candidate {
        let now = Instant::now();
        Candidate {
            pid,
            start_time,
            is_new: false,
            since: now,
            next: now,
            was_looked_into: false,
            other: None,
            trouble: None,
        }
    }

    /// Whether it is time for a look.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// Whether it may be Python soon: it is being looked into for the first time, or was started a moment ago.
    pub fn is_starting(&self) -> bool {
        !self.was_looked_into || self.since.elapsed() < STARTING
    }

    /// Whether it has been looked into and is no Python until now.
    pub fn is_other(&self) -> bool {
        self.was_looked_into
    }

    /// What it is called, and why it could not be looked into until now, if so.
    pub fn trouble(&self) -> Option<(String, String)> {
        let reason = self.trouble.clone()?;
        Some((self.name()?, reason))
    }

    /// When it is time for the next look.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Looks into the process, which is one of so many that are `known`.
    pub fn look(&mut self, (mode, known): (Mode, usize), binaries: &Arc<Binaries>, others: &KnownPrograms) -> Look {
        let now = Instant::now();
        let age = now.duration_since(self.since);
        let soon = now + (age / OF_ITS_AGE).clamp(FIRST_LOOK, SAME_PROGRAM_EVERY);
        if known >= CROWD && !self.was_looked_into {
            self.other = self.like_others(now, known, others);
        }
        if let Some((program, until)) = &self.other
            && now < *until
            && program_of(self.pid).as_ref() == Some(program)
        {
            (self.next, self.was_looked_into) = (soon.min(*until), true);
            return Look::Later;
        }
        let at_least_every = LOOK_AT_LEAST_EVERY.max(AND_FOR_EACH * u32::try_from(known).unwrap_or(u32::MAX));
        let until = now + (age / OF_ITS_AGE).clamp(FIRST_LOOK, at_least_every);
        self.next = until;
        let look = self.look_closely((mode, age), binaries, others);
        self.other = (matches!(look, Look::Later) && self.was_looked_into)
            .then(|| Some((program_of(self.pid)?, until)))
            .flatten();
        if self.other.is_some() {
            self.next = until.min(soon);
        }
        look
    }

    /// The program of the process, if others have run it and no Python: it is looked into behind all that nothing is known of, one after
    /// the other.
    fn like_others(&self, now: Instant, known: usize, others: &KnownPrograms) -> Option<(PathBuf, Instant)> {
        let program = program_of(self.pid).filter(|program| locked(others).paths.contains(program))?;
        let place = usize::try_from(self.pid.0).unwrap_or(0) % known.max(1);
        Some((program, now + SAME_PROGRAM_EVERY + AND_FOR_EACH * u32::try_from(place).unwrap_or(0)))
    }

    /// On a thread of its own: reading its memory can take as long as the process likes (userfaultfd(2), FUSE), and the others are not to
    /// wait for that.
    fn look_closely(
        &mut self,
        (mode, age): (Mode, Duration),
        binaries: &Arc<Binaries>,
        others: &KnownPrograms,
    ) -> Look {
        let (tell, told) = channel();
        let (mut copy, binaries, others) = (self.clone(), Arc::clone(binaries), Arc::clone(others));
        let looking = move || {
            let look = copy.look_inside((mode, age), &binaries, &others);
            // Who asked may have given up.
            let _ = tell.send((copy, look));
        };
        if thread::Builder::new().name("look".into()).spawn(looking).is_err() {
            return Look::Later;
        }
        match told.recv_timeout(HELD_UP) {
            Ok((copy, look)) => {
                *self = copy;
                look
            }
            Err(RecvTimeoutError::Timeout) => self.refused(&"its memory does not answer"),
            Err(RecvTimeoutError::Disconnected) => self.refused(&"looking into it has failed"),
        }
    }

    fn look_inside(&mut self, (mode, age): (Mode, Duration), binaries: &Arc<Binaries>, others: &KnownPrograms) -> Look {
        self.trouble = None;
        let process = match Process::open(self.pid) {
            Ok(process) if process.identity.start_time == Some(self.start_time) => process,
            Ok(_) => return Look::Gone { too_soon: !self.was_looked_into },
            Err(ProcessError::NotFound(_) | ProcessError::Zombie(_)) => {
                return Look::Gone { too_soon: !self.was_looked_into };
            }
            Err(ProcessError::KernelThread(_) | ProcessError::IsThread { .. }) => return Look::Never,
            Err(ProcessError::ForeignArchitecture { .. }) if age >= STARTING => return Look::Never,
            // A program that takes another user's rights is out of reach for a moment, or for good.
            Err(error) => return self.later_or_refused(age, &AttachError::from(error)),
        };
        if is_amid_vfork(&process) {
            return Look::Later;
        }
        let Ok(mappings) = process.mappings() else { return Look::Later };
        let kind = kind(&process, &mappings);
        if locked(others).kinds.contains(&kind) {
            self.was_looked_into = true;
            return Look::Later;
        }
        // All that it has used is of the recording.
        let is_born = self.is_new;
        match Session::sharing(process.clone(), binaries, mode) {
            Ok(session) if !open::is_whole(&session) => Look::Later,
            Ok(session) => match open::check_permission(self.pid) {
                Ok(()) => Look::Found { session: Box::new(session), is_born },
                Err(error) => self.later_or_refused(age, &error),
            },
            // Another program than the one that is known by its kind, or nothing any more.
            Err(_) if process.replaced().is_some() || !process.is_alive() => Look::Later,
            // Python may be in what there was no room to look at.
            Err(_) if mappings.is_cut() => {
                self.refused(&"there is no room for its mappings in the memory that --max-memory allows")
            }
            Err(OpenError::Interpreter(RuntimeError::NotPython)) => {
                self.was_looked_into = true;
                locked(others).add(kind, &process);
                Look::Later
            }
            Err(error) => self.later_or_refused(age, &error),
        }
    }

    /// What is just starting may be ready soon.
    fn later_or_refused(&mut self, age: Duration, error: &dyn Display) -> Look {
        if age >= STARTING {
            return self.refused(error);
        }
        self.trouble = Some(error.to_string());
        Look::Later
    }

    fn refused(&self, error: &dyn Display) -> Look {
        match self.name() {
            Some(name) => Look::Refused { name, reason: error.to_string() },
            None => Look::Gone { too_soon: !self.was_looked_into },
        }
    }

    /// What it is called; `None` where it has ended, whoever has its id now.
    fn name(&self) -> Option<String> {
        Some(ProcessEntry::of(self.pid).filter(|entry| entry.start_time == self.start_time)?.name)
    }
}

/// Whether the process is between vfork(2) and what it becomes: it has its parent's memory, and its parent's thread waits for it.
fn is_amid_vfork(process: &Process) -> bool {
    let Some(entry) = ProcessEntry::of(process.identity.pid) else { return false };
    shares_memory(process.identity.pid, entry.parent)
}

/// By what a program is known again: the files that it has mapped to execute them.
fn kind(process: &Process, mappings: &Mappings) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = rustc_hash::FxHasher::default();
    process.identity.executable.hash(&mut hasher);
    for mapping in mappings.iter().filter(|mapping| mapping.executable) {
        mapping.backing.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_got_the_id_before_the_first_look_is_another() {
        let own = ProcessEntry::of(Pid(std::process::id() as i32)).unwrap();
        let look = |start_time| {
            let mut candidate = Candidate::known((own.pid, start_time));
            candidate.look((Mode::Wall, 1), &Arc::default(), &KnownPrograms::default())
        };
        assert!(matches!(look(own.start_time), Look::Later), "it runs no Python");
        assert!(matches!(look(own.start_time + 1), Look::Gone { too_soon: true }));
    }

    #[test]
    fn in_a_crowd_programs_that_are_known_are_looked_into_last() {
        let own = ProcessEntry::of(Pid(std::process::id() as i32)).unwrap();
        let others = KnownPrograms::default();
        let is_put_off = |known| {
            let mut candidate = Candidate::known((own.pid, own.start_time));
            assert!(matches!(candidate.look((Mode::Wall, known), &Arc::default(), &others), Look::Later));
            assert!(candidate.is_other());
            candidate.other.unwrap().1 >= Instant::now() + SAME_PROGRAM_EVERY / 2
        };
        assert!(!is_put_off(5_000), "nothing is known yet");
        others.lock().unwrap().paths.extend(program_of(own.pid));
        assert!(!is_put_off(10));
        assert!(is_put_off(5_000));
    }
}
