//! Reading one thread at a tick: approached as the table says, until there is a stack or a reason why not.
//!
//! Does: look, stop or read, and tell what the thread did. Does not: decide what follows ([`super::super::approach`] does).

use std::sync::Arc;

use super::{Outcome, Read, Session};
use crate::capture::placement::Placement;
use crate::capture::ptrace::StopError;
use crate::capture::running::{RunningError, Stopping};
use crate::process::reading::ReadFailure;
use crate::process::sleep_mark::SleepMark;
use crate::sampler::approach::{Approach, Met, Step};
use crate::sampler::mode::Mode;
use crate::sampler::run_state::RunState;
use crate::sampler::statistics::SampleFailure;
use crate::sampler::thread_history::{Seen, ThreadHistory};
use crate::sampler::{observe, transfers};
use crate::target::access;
use crate::target::obstacle::Obstacle;
use crate::target::threads::Activity;
use crate::types::room::Room;

/// A thread that falls asleep and wakes all the time is looked at so often.
const LOOKS: usize = 8;

impl Session {
    /// Reads a thread in the way that disturbs it least.
    pub(super) fn read(&mut self, history: &mut ThreadHistory) -> Result<Read, Outcome> {
        let tid = history.tid();
        let mut approach = Approach::first(self.mode);
        for _ in 0..LOOKS {
            if approach == Approach::Look {
                let activity = history.known.thread.activity();
                let met = match &activity {
                    Ok(Activity::Running) => Met::Runs,
                    // It stands still at our own stop.
                    Ok(Activity::Blocked { .. } | Activity::Asleep)
                        if self.reader.stopper().pending().has_come(tid) =>
                    {
                        Met::Runs
                    }
                    // It stands still for a moment, at another profiler's stop; or for a debugger, which does not let go.
                    Ok(Activity::Blocked { call: None, .. } | Activity::Asleep)
                        if !self.reader.stopper().is_refused() && history.known.thread.is_in_tracing_stop() =>
                    {
                        Met::Runs
                    }
                    Ok(Activity::Blocked { .. }) => Met::IsBlocked,
                    Ok(Activity::Asleep) => Met::IsAsleep,
                    Ok(Activity::Still) => Met::IsStill,
                    Err(error) => Met::CannotLook(error),
                };
                approach = self.next(approach, history, &met)?;
                if let Ok(activity @ Activity::Blocked { .. }) = activity
                    && approach != Approach::Stop
                {
                    history.last_block.transfer = transfers::of(activity);
                }
            }
            let transfer = history.last_block.transfer.take_if(|_| approach == Approach::Stop);
            let waits_again = transfer.is_some_and(|transfer| transfers::goes_on(&mut history.known.thread, transfer));
            if waits_again {
                history.last_block.transfer = transfer;
                approach = self.next(approach, history, &Met::WaitsAgain)?;
            }
            let stops = matches!(approach, Approach::Stop | Approach::StopAsleep);
            let blocked_at = if stops { None } else { history.known.thread.run_count() };
            let result = match approach {
                Approach::Stop => {
                    let stops = &mut self.statistics.stops;
                    let only_fair = self.mode == Mode::Cpu && self.wants_fair_moments;
                    let stopping = if only_fair { Stopping::IfOnCpu } else { Stopping::IfRunning };
                    self.reader.read_stopped(&mut history.known, stops, stopping)
                }
                Approach::StopAsleep => {
                    let stops = &mut self.statistics.stops;
                    self.reader.read_stopped(&mut history.known, stops, Stopping::EvenAsleep)
                }
                Approach::Look | Approach::LeaveBlocked => self.reader.read_blocked(&mut history.known),
                Approach::ReadStill => self.reader.read_still(&mut history.known),
            };
            // A stop that has disturbed it met it in the call: it is likely to be there again.
            let has_disturbed = match &result {
                Ok(reading) => reading.captured.disturbed,
                Err(_) => self.reader.failure_has_disturbed(),
            };
            history.last_block.transfer = history.last_block.transfer.or(transfer.filter(|_| has_disturbed));
            match result {
                Ok(reading) if self.states.assign_again(&mut history.known, &mut self.reader, &reading) => {
                    self.reader.reuse(reading);
                    approach = self.next(approach, history, &Met::States)?;
                }
                Ok(reading) => return Ok(Read { reading, blocked_at, waits_again }),
                Err(failure) => {
                    let is_denied = matches!(&failure, ReadFailure::Running(RunningError::Stop(StopError::Denied)));
                    // A thread that is ending cannot be traced any more.
                    let met = match is_denied && history.known.thread.has_ended() {
                        true => Met::Ended,
                        false => Met::Failed(&failure),
                    };
                    approach = self.next(approach, history, &met)?;
                }
            }
        }
        Err(Outcome::Failed(SampleFailure::Woke))
    }

    /// Whether a thread that was stopped in its sleep has gone back to it, and is to be left there.
    pub(super) fn sleeps_on(&mut self, history: &mut ThreadHistory) -> bool {
        let is_held = self.reader.stopper().pending().holds(history.tid());
        !is_held && history.last_block.sleeps_on(&mut history.known.thread, self.reader.memory())
    }

    /// Whether nothing but another tracer stands in the way: a process can change its user, or make itself undumpable.
    fn may_trace(&self) -> bool {
        matches!(access::diagnose(self.identity().pid), Obstacle::TracedBy { .. } | Obstacle::Unknown(_))
    }

    /// What is done next after `approach` has met something, or what that has come to.
    fn next(&self, approach: Approach, history: &mut ThreadHistory, met: &Met<'_>) -> Result<Approach, Outcome> {
        match approach.after(self.mode, met) {
            Step::Next(approach) => Ok(approach),
            Step::PassOver => {
                history.pass_over();
                Err(Outcome::NotWanted)
            }
            Step::Wait => Err(Outcome::Pending),
            Step::NotOnCpu => Err(Outcome::NotWanted),
            Step::LeaveToNext => Err(Outcome::Unfair),
            Step::Gone(status) => Err(Outcome::Gone(status)),
            Step::Fail(SampleFailure::Traced) if !self.may_trace() => Err(Outcome::Failed(SampleFailure::Denied)),
            Step::Fail(reason) => Err(Outcome::Failed(reason)),
        }
    }

    /// What a reading tells.
    pub(super) fn take(&mut self, history: &mut ThreadHistory, read: Read) -> Outcome {
        let Read { reading, blocked_at, waits_again } = read;
        let known = &history.known;
        // One of which no state was known may turn out to have others than that which holds the GIL, or none.
        if self.mode == Mode::Gil && (known.states.addresses.is_empty() || !self.states.may_have_held_gil(known)) {
            self.reader.reuse(reading);
            return Outcome::NotWanted;
        }
        if reading.captured.placement == Placement::Unfair && self.mode == Mode::Wall && self.wants_fair_moments {
            self.reader.reuse(reading);
            return Outcome::Unfair;
        }
        let run_state = observe::run_state(&self.reader, history, &self.states, &reading);
        let frames = Arc::clone(&reading.frames);
        // A thread whose stack is not kept is read again at the next look.
        let is_kept = self.room.take(size_of_val(&*frames) as u64);
        if let Some(at) = blocked_at.filter(|_| is_kept) {
            history.last_block.was_read(at, &frames, run_state.clone());
        }
        if let Some(mark) = SleepMark::of(&reading).filter(|_| is_kept) {
            history.last_block.was_woken(mark, &frames, run_state.clone());
        }
        let holds_gil = self.states.holds_gil(&history.known, &reading.captured);
        history.seen = Seen { holds_gil, capture_calls: reading.capture_calls, locals: self.reader.reuse(reading) };
        // At the tick one that waits again in a transfer was copying, in the kernel.
        Outcome::Stack(frames, if waits_again { RunState::Native } else { run_state })
    }
}
