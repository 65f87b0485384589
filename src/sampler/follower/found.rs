//! What has been found, and what became of the rest.
//!
//! Does: hold it. Does not: look for processes.

use crate::sampler::session::Session;
use crate::types::Pid;

/// So many that cannot be sampled are told one by one.
const MAX_REFUSED: usize = 20;

/// A process: its id, and when it was started, for the id can be another's by now.
pub type Which = (Pid, Option<u64>);

/// A process that is ready to be sampled.
#[derive(Debug)]
pub struct Found {
    /// What samples it.
    pub session: Session,
    /// Whether it was started a moment ago: all that it has used is of the recording.
    pub is_born: bool,
}

/// A process that was chosen and cannot be sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub pid: Pid,
    /// What it is called.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What became of the processes that were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// Those that run no Python that can be read.
    pub not_python: u64,
    /// Those that ended before they could be looked into.
    pub too_short: u64,
    /// Those for which there was no room beside the others.
    pub too_many: u64,
    /// Those that could not be sampled, the first ones.
    pub refused: Vec<Refused>,
    /// How many that are in all.
    pub refused_in_all: u64,
}

impl Followed {
    /// Takes note of a process that cannot be sampled.
    pub fn refuse(&mut self, refused: Refused) {
        self.refused_in_all += 1;
        if self.refused.len() < MAX_REFUSED {
            self.refused.push(refused);
        }
    }
}
