//! What a thread is doing, and how much it has run, as values.
//!
//! Does: name them. Does not: look at a thread.

use crate::types::{Addr, Nanos};

/// How much a thread has run: equal values at two moments mean that it did not run in between, if it was blocked
/// at the first of them (a running thread's time is only brought up to date by the scheduler's tick).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunCount {
    /// Time on a CPU, in nanoseconds.
    pub on_cpu: u64,
    /// How often it was given a CPU.
    pub timeslices: u64,
}

/// What the scheduler has counted of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Time on a CPU; of a thread that is on one, up to the scheduler's last look at it.
    pub on_cpu: Nanos,
    /// Time in which it was ready and had no CPU; counted when it is given one.
    pub waited: Nanos,
    /// How often it was given a CPU.
    pub timeslices: u64,
}

/// A system call in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// Its number on this architecture.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// What a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or waits for a CPU.
    Running,
    /// It is blocked, with these register values.
    Blocked {
        /// The system call; none when it is blocked elsewhere (a page fault).
        call: Option<SystemCall>,
        /// The stack pointer.
        sp: Addr,
        /// The program counter.
        pc: Addr,
    },
    /// It is blocked, and its registers are not told: the kernel shows them to the thread's own user and to who has
    /// `CAP_DAC_READ_SEARCH` (`/proc/PID/task/TID/syscall` has mode 0400), and some kernels to nobody.
    Asleep,
    /// It stands still for good, and all of its registers are known: [`Thread::still`](super::Thread::still).
    Still,
}
