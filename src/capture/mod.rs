//! WHEN: the bytes and registers of one thread at one moment.
//!
//! A running thread is stopped for tens of microseconds ([`running`]); a blocked one is read without a stop
//! ([`blocked`]), one that does not run any more as it is ([`still`]). All give a [`captured::Captured`], and everything after that is pure.

pub mod blocked;
pub mod captured;
mod copies;
mod last_cpus;
mod pace;
pub mod pending;
pub mod placement;
pub mod ptrace;
pub mod range;
pub mod read;
pub mod running;
pub mod still;
pub mod stopped;
pub mod watchdog;

#[cfg(target_arch = "aarch64")]
pub use crate::target::registers::aarch64 as native;
#[cfg(target_arch = "x86_64")]
pub use crate::target::registers::x86_64 as native;
