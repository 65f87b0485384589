//! What becomes of a process that is not sampled any more.
//!
//! Does: take note of how a program ended that we have started, and tell what a process has become. Does not: wait for an end.

use super::plan::Ended;
use super::program::{Outcome, Program};
use crate::target::launch::Launched;
use crate::target::process::{Process, ProcessError};
use crate::target::view::Identity;

/// Takes note of an end that sampling was told of.
pub(super) fn took(outcome: Outcome, program: &Program, launched: &mut Option<Launched>) {
    let of_it = launched.as_mut().filter(|launched| launched.pid() == program.session.identity().pid);
    if let (Some(status), Some(launched)) = (outcome.status, of_it) {
        launched.ended_with(status);
    }
}

/// What a process has become whose new program is not recorded.
pub(super) fn after_replacement(before: &Identity) -> Ended {
    match Process::open(before.pid) {
        Ok(process) if process.identity.start_time != before.start_time => Ended::TargetGone,
        Ok(process) => Ended::Replaced(Some(process.identity.program_name())),
        Err(ProcessError::NotFound(_) | ProcessError::Zombie(_)) => Ended::TargetGone,
        Err(_) => Ended::Replaced(None),
    }
}
