//! How a thread is approached: looked at, stopped, or read while it is blocked; and what follows from what is met there.
//!
//! Does: decide, as a table. Does not: look at a thread or read one; the session does.

use std::io;

use nix::errno::Errno;

use super::mode::Mode;
use super::statistics::SampleFailure;
use crate::capture::blocked::BlockedError;
use crate::capture::ptrace::StopError;
use crate::capture::running::RunningError;
use crate::process::reading::ReadFailure;

/// What is done to a thread next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approach {
    /// It is asked whether it runs.
    Look,
    /// It is stopped and read, if it still runs then.
    Stop,
    /// It is stopped and read, although it is blocked: nothing else tells where it is.
    StopAsleep,
    /// It is read without being stopped, if it is still blocked then.
    LeaveBlocked,
    /// It is read: it cannot run.
    ReadStill,
}

/// What was met.
#[derive(Debug)]
pub enum Met<'a> {
    /// It runs.
    Runs,
    /// It is blocked.
    IsBlocked,
    /// It is blocked, and where is not told.
    IsAsleep,
    /// It does not run any more: its process is not alive.
    IsStill,
    /// It could not be asked.
    CannotLook(&'a io::Error),
    /// It was at work inside a large transfer, and waits in it again.
    WaitsAgain,
    /// The thread's states, which are others than those that it was read with.
    States,
    /// The thread had ended.
    Ended,
    /// It could not be read.
    Failed(&'a ReadFailure),
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// This is done next.
    Next(Approach),
    /// The mode wants no sample of it.
    PassOver,
    /// Its stop is still to come.
    Wait,
    /// It had no CPU, and only who has one is wanted.
    NotOnCpu,
    /// The moment tells nothing: the next one stands for it, too.
    LeaveToNext,
    /// The thread has ended; the wait status if learning so has consumed it.
    Gone(Option<i32>),
    /// There is no sample of it, for a reason.
    Fail(SampleFailure),
}

impl Approach {
    /// The first one. In CPU mode the last look before the stop alone decides: with a second one before it, threads that run for
    /// microseconds at a time would be seen less often than they run.
    pub fn first(mode: Mode) -> Approach {
        match mode {
            Mode::Cpu => Approach::Stop,
            Mode::Wall | Mode::Gil => Approach::Look,
        }
    }

    /// What follows from what this approach has met.
    pub fn after(self, mode: Mode, met: &Met<'_>) -> Step {
        use Approach::{LeaveBlocked, Look, ReadStill, Stop, StopAsleep};
        match (self, met) {
            (Stop, Met::States) => Step::Next(Stop),
            (StopAsleep, Met::States) => Step::Next(StopAsleep),
            (_, Met::States) => Step::Next(Look),
            (_, Met::Ended) => Step::Gone(None),
            (_, Met::CannotLook(error)) => cannot_look(error),
            (_, Met::Runs) => Step::Next(Stop),
            (_, Met::IsStill) => Step::Next(ReadStill),
            (_, Met::IsAsleep) => Step::Next(StopAsleep),
            (_, Met::IsBlocked | Met::WaitsAgain) => Step::Next(LeaveBlocked),
            // It has changed between two looks at it.
            (Stop | StopAsleep, Met::Failed(ReadFailure::Running(RunningError::Blocked))) => match mode {
                Mode::Cpu => Step::PassOver,
                Mode::Wall | Mode::Gil => Step::Next(Look),
            },
            (_, Met::Failed(ReadFailure::Running(RunningError::Pending))) => Step::Wait,
            (_, Met::Failed(ReadFailure::Running(RunningError::NotOnCpu))) => Step::NotOnCpu,
            (_, Met::Failed(ReadFailure::Running(RunningError::UnfairMoment))) => Step::LeaveToNext,
            (LeaveBlocked, Met::Failed(ReadFailure::Blocked(BlockedError::Runs))) => Step::Next(Stop),
            // It has run meanwhile: what it waited in was not sure to stay.
            (LeaveBlocked, Met::Failed(ReadFailure::ModuleReplaced)) => Step::Next(Look),
            (_, Met::Failed(failure)) => cannot_read(failure),
        }
    }
}

fn cannot_look(error: &io::Error) -> Step {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Step::Fail(SampleFailure::Traced),
        // ESRCH: the files of a thread outlive it.
        _ if error.raw_os_error() == Some(Errno::ESRCH as i32) => Step::Gone(None),
        io::ErrorKind::NotFound => Step::Gone(None),
        _ => Step::Fail(SampleFailure::Unreadable),
    }
}

fn cannot_read(failure: &ReadFailure) -> Step {
    match failure {
        ReadFailure::Running(RunningError::Stop(error)) => match error {
            StopError::Gone => Step::Gone(None),
            StopError::Exited(status) => Step::Gone(Some(*status)),
            StopError::Denied => Step::Fail(SampleFailure::Traced),
            StopError::System(_) => Step::Fail(SampleFailure::Unreadable),
        },
        ReadFailure::Running(RunningError::Unreadable(error))
        | ReadFailure::Blocked(BlockedError::Unreadable(error)) => cannot_look(error),
        ReadFailure::Running(
            RunningError::Blocked | RunningError::Pending | RunningError::NotOnCpu | RunningError::UnfairMoment,
        )
        | ReadFailure::Blocked(BlockedError::Runs | BlockedError::Woke) => Step::Fail(SampleFailure::Woke),
        ReadFailure::CodeReplaced => Step::Fail(SampleFailure::CodeReplaced),
        ReadFailure::ModuleReplaced => Step::Fail(SampleFailure::ModuleReplaced),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Approach::{LeaveBlocked, Look, ReadStill, Stop, StopAsleep};

    const MODES: [Mode; 3] = [Mode::Cpu, Mode::Wall, Mode::Gil];
    const APPROACHES: [Approach; 5] = [Look, Stop, StopAsleep, LeaveBlocked, ReadStill];

    fn failed(approach: Approach, mode: Mode, failure: ReadFailure) -> Step {
        approach.after(mode, &Met::Failed(&failure))
    }

    fn stop_error(error: StopError) -> ReadFailure {
        ReadFailure::Running(RunningError::Stop(error))
    }

    #[test]
    fn in_cpu_mode_nothing_comes_before_the_stop() {
        assert_eq!(MODES.map(Approach::first), [Stop, Look, Look]);
    }

    #[test]
    fn a_look_decides_whether_the_thread_is_stopped() {
        for mode in MODES {
            assert_eq!(Look.after(mode, &Met::Runs), Step::Next(Stop));
            assert_eq!(Look.after(mode, &Met::IsBlocked), Step::Next(LeaveBlocked));
        }
    }

    #[test]
    fn a_thread_that_has_ended_is_gone_in_every_mode() {
        for (approach, mode) in APPROACHES.into_iter().flat_map(|approach| MODES.map(|mode| (approach, mode))) {
            assert_eq!(approach.after(mode, &Met::Ended), Step::Gone(None));
        }
    }

    #[test]
    fn a_thread_that_cannot_run_is_read_as_it_is() {
        assert_eq!(MODES.map(|mode| Look.after(mode, &Met::IsStill)), [const { Step::Next(ReadStill) }; 3]);
        assert_eq!(failed(ReadStill, Mode::Wall, ReadFailure::CodeReplaced), Step::Fail(SampleFailure::CodeReplaced));
    }

    #[test]
    fn a_thread_that_sleeps_where_nothing_tells_is_stopped_and_looked_at_again_if_it_is_blocked_elsewhere_by_then() {
        for mode in MODES {
            assert_eq!(Look.after(mode, &Met::IsAsleep), Step::Next(StopAsleep));
            assert_eq!(StopAsleep.after(mode, &Met::States), Step::Next(StopAsleep));
            let stopped = |error| failed(StopAsleep, mode, ReadFailure::Running(error));
            assert_eq!(stopped(RunningError::Pending), Step::Wait);
            if mode != Mode::Cpu {
                assert_eq!(stopped(RunningError::Blocked), Step::Next(Look));
            }
        }
    }

    #[test]
    fn a_thread_in_a_transfer_is_read_where_it_waits_again() {
        assert_eq!(MODES.map(|mode| Stop.after(mode, &Met::WaitsAgain)), [const { Step::Next(LeaveBlocked) }; 3]);
    }

    #[test]
    fn states_that_a_stop_has_found_are_read_by_another_stop() {
        for mode in MODES {
            assert_eq!(Stop.after(mode, &Met::States), Step::Next(Stop));
            for approach in [LeaveBlocked, ReadStill] {
                assert_eq!(approach.after(mode, &Met::States), Step::Next(Look));
            }
        }
    }

    #[test]
    fn a_thread_that_blocks_before_the_stop_is_no_sample_of_cpu_time_and_is_looked_at_again_in_the_others() {
        let blocked = |mode| failed(Stop, mode, ReadFailure::Running(RunningError::Blocked));
        assert_eq!(MODES.map(blocked), [Step::PassOver, Step::Next(Look), Step::Next(Look)]);
    }

    #[test]
    fn a_stop_that_has_not_come_is_waited_for_and_a_thread_without_a_cpu_is_not_wanted_where_only_those_on_one_are() {
        for mode in MODES {
            assert_eq!(failed(Stop, mode, ReadFailure::Running(RunningError::Pending)), Step::Wait);
            assert_eq!(failed(Stop, mode, ReadFailure::Running(RunningError::NotOnCpu)), Step::NotOnCpu);
            assert_eq!(failed(Stop, mode, ReadFailure::Running(RunningError::UnfairMoment)), Step::LeaveToNext);
        }
    }

    #[test]
    fn a_thread_that_wakes_before_it_is_read_is_stopped() {
        for mode in MODES {
            assert_eq!(failed(LeaveBlocked, mode, ReadFailure::Blocked(BlockedError::Runs)), Step::Next(Stop));
            let woke = failed(LeaveBlocked, mode, ReadFailure::Blocked(BlockedError::Woke));
            assert_eq!(woke, Step::Fail(SampleFailure::Woke));
        }
    }

    #[test]
    fn what_a_thread_has_left_while_it_was_read_is_looked_for_again_and_what_a_stop_has_met_is_not() {
        assert_eq!(failed(LeaveBlocked, Mode::Wall, ReadFailure::ModuleReplaced), Step::Next(Look));
        assert_eq!(failed(Stop, Mode::Wall, ReadFailure::ModuleReplaced), Step::Fail(SampleFailure::ModuleReplaced));
        for approach in [Stop, LeaveBlocked] {
            let replaced = failed(approach, Mode::Wall, ReadFailure::CodeReplaced);
            assert_eq!(replaced, Step::Fail(SampleFailure::CodeReplaced));
        }
    }

    #[test]
    fn a_thread_that_is_gone_is_no_failure() {
        assert_eq!(failed(Stop, Mode::Cpu, stop_error(StopError::Gone)), Step::Gone(None));
        assert_eq!(failed(Stop, Mode::Cpu, stop_error(StopError::Exited(9))), Step::Gone(Some(9)));
        for errno in [Errno::ESRCH, Errno::ENOENT] {
            let error = || io::Error::from_raw_os_error(errno as i32);
            assert_eq!(Look.after(Mode::Wall, &Met::CannotLook(&error())), Step::Gone(None));
            let failure = ReadFailure::Running(RunningError::Unreadable(error()));
            assert_eq!(failed(Stop, Mode::Cpu, failure), Step::Gone(None));
            let failure = ReadFailure::Blocked(BlockedError::Unreadable(error()));
            assert_eq!(failed(LeaveBlocked, Mode::Wall, failure), Step::Gone(None));
        }
    }

    #[test]
    fn what_the_system_refuses_is_told_as_such() {
        let refused = || io::Error::from_raw_os_error(Errno::EACCES as i32);
        assert_eq!(Look.after(Mode::Wall, &Met::CannotLook(&refused())), Step::Fail(SampleFailure::Traced));
        assert_eq!(failed(Stop, Mode::Cpu, stop_error(StopError::Denied)), Step::Fail(SampleFailure::Traced));
        let system = stop_error(StopError::System(Errno::EIO));
        assert_eq!(failed(Stop, Mode::Cpu, system), Step::Fail(SampleFailure::Unreadable));
        let garbage = io::Error::from(io::ErrorKind::InvalidData);
        assert_eq!(Look.after(Mode::Wall, &Met::CannotLook(&garbage)), Step::Fail(SampleFailure::Unreadable));
    }
}
