//! A process that may run Python, now or soon.
//!
//! Does: look into it, seldom when it stays what it is, and tell what it is. Does not: choose it.

use std::sync::Arc;
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
use crate::target::process_table::ProcessEntry;
use crate::target::shared_memory::shares_memory;
use crate::types::Pid;

/// What has just been forked is mostly about to become another program: looked into at once it would be its parent's once more.
const FIRST_LOOK: Duration = Duration::from_millis(8);
/// A look comes when so much of the time has passed again that the process is known for: what changes early is seen early.
const OF_ITS_AGE: u32 = 6;
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// For so long an error can be that of an interpreter which is just starting.
const STARTING: Duration = Duration::from_secs(2);
/// A process that is so young has used nothing but what is of the recording.
const BORN: Duration = Duration::from_secs(1);
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

/// Programs without Python, by the files that they have mapped: `git` is looked into once, not a thousand times.
#[derive(Debug, Default)]
pub struct OtherPrograms(FxHashSet<u64>);

/// A process that may run Python.
#[derive(Debug)]
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
}

impl Candidate {
    /// One that was started a moment ago: it is looked into in a moment.
    pub fn started((pid, start_time): (Pid, u64)) -> Candidate {
        Candidate { is_new: true, next: Instant::now() + FIRST_LOOK, ..Candidate::known((pid, start_time)) }
    }

    /// One that is there for longer: it is looked into at once.
    pub fn known((pid, start_time): (Pid, u64)) -> Candidate {
        let now = Instant::now();
        Candidate { pid, start_time, is_new: false, since: now, next: now, was_looked_into: false }
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

    /// Looks into the process.
    pub fn look(&mut self, mode: Mode, binaries: &Arc<Binaries>, others: &mut OtherPrograms) -> Look {
        let now = Instant::now();
        let age = now.duration_since(self.since);
        self.next = now + (age / OF_ITS_AGE).clamp(FIRST_LOOK, LOOK_AT_LEAST_EVERY);
        let process = match Process::open(self.pid) {
            Ok(process) if process.identity.start_time == Some(self.start_time) => process,
            Ok(_) => return Look::Gone { too_soon: !self.was_looked_into },
            Err(ProcessError::NotFound(_) | ProcessError::Zombie(_)) => {
                return Look::Gone { too_soon: !self.was_looked_into };
            }
            Err(ProcessError::KernelThread(_) | ProcessError::IsThread { .. }) => return Look::Never,
            Err(ProcessError::ForeignArchitecture { .. }) if age >= STARTING => return Look::Never,
            // A program that takes another user's rights is out of reach for a moment, or for good.
            Err(_) if age < STARTING => return Look::Later,
            Err(error) => return self.refused(&AttachError::from(error)),
        };
        if is_amid_vfork(&process) {
            return Look::Later;
        }
        let Ok(mappings) = process.mappings() else { return Look::Later };
        let kind = kind(&process, &mappings);
        if others.0.contains(&kind) {
            self.was_looked_into = true;
            return Look::Later;
        }
        let is_born = self.is_new && process.age().is_some_and(|age| age < BORN);
        match Session::sharing(process.clone(), binaries, mode) {
            Ok(session) if !open::is_whole(&session) => Look::Later,
            Ok(session) => match open::check_permission(self.pid) {
                Ok(()) => Look::Found { session: Box::new(session), is_born },
                Err(_) if age < STARTING => Look::Later,
                Err(error) => self.refused(&error),
            },
            // Another program than the one that is known by its kind, or nothing any more.
            Err(_) if process.replaced().is_some() || !process.is_alive() => Look::Later,
            Err(OpenError::Interpreter(RuntimeError::NotPython)) => {
                self.was_looked_into = true;
                if others.0.len() >= MAX_KINDS {
                    others.0.clear();
                }
                others.0.insert(kind);
                Look::Later
            }
            Err(_) if age < STARTING => Look::Later,
            Err(error) => self.refused(&error),
        }
    }

    fn refused(&self, error: &dyn std::error::Error) -> Look {
        match ProcessEntry::of(self.pid) {
            Some(entry) if entry.start_time == self.start_time => {
                Look::Refused { name: entry.name, reason: error.to_string() }
            }
            _ => Look::Gone { too_soon: !self.was_looked_into },
        }
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
            candidate.look(Mode::Wall, &Arc::default(), &mut OtherPrograms::default())
        };
        assert!(matches!(look(own.start_time), Look::Later), "it runs no Python");
        assert!(matches!(look(own.start_time + 1), Look::Gone { too_soon: true }));
    }
}
