//! What the kernel tells of the time of a process.
//!
//! Does: hold it. Does not: read it, or compare.

use crate::target::threads::Schedule;
use crate::types::{Nanos, Tid};

/// The accounts of a process and of its threads at one moment.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// Of each thread that lives, where the kernel tells.
    pub threads: Vec<(Tid, Schedule)>,
    /// The CPU time of all its threads, those that have ended too, where the kernel tells.
    pub cpu: Option<Nanos>,
}
