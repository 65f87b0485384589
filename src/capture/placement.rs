//! Whether a thread had a CPU at the moment for which it was asked to stop, and whether that moment was a fair one.
//!
//! Does: tell it from the scheduler's account of the thread before and after, and from our own. Where a ready thread stands is where
//! it lost its CPU, and that is no fair draw of where it computes: calls that read the thread's CPU clock bring the account up to date,
//! and a used-up slice ends there. So does a moment at which we got our CPU late: we got it because another's slice had ended.
//! Does not: stop a thread.

use std::time::{Duration, Instant};

use crate::target::own;
use crate::target::threads::{Schedule, Thread};
use crate::types::{Nanos, Pid, Tid};

/// Who waits for a CPU no longer than this has pushed another off it, or found one free: no slice has ended for that.
const AT_ONCE: Duration = Duration::from_micros(60);
/// Nor for who waits no longer than so many times what it takes at least on this machine: an emulated CPU has everybody wait for longer.
const TIMES_THE_LEAST: u32 = 3;
/// What it takes at least is forgotten so slowly: by an eighth and a microsecond with each wait that is longer.
const FORGOTTEN: (u32, Duration) = (8, Duration::from_micros(1));
/// The first wait counts as what it takes at least, unless it is longer than this: a short recording ends before there is another.
const LEAST_AT_FIRST: Duration = Duration::from_millis(1);

thread_local! {
    /// The calling thread: to ask the kernel each time takes a system call.
    static OWN_TID: Tid = Tid(nix::unistd::gettid().as_raw());
}

/// Where a thread was at the moment for which it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Placement {
    /// On a CPU, at a fair moment; or the kernel does not tell.
    #[default]
    OnCpu,
    /// In the queue for a CPU.
    Queued,
    /// On a CPU, at a moment at which threads are more likely to be in some places of their code than they compute there.
    Unfair,
}

/// The calling thread's turn on its CPU: since it slept last, or gave its CPU away.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// When it began.
    pub began: Instant,
    /// Whether it began at once: as soon as it was due.
    pub at_once: bool,
    /// How long a wait may be that counts as none.
    pub margin: Duration,
}

impl Turn {
    /// Where a thread was whose account was `before` when it was asked, and `after` when it had come to its stop, by `seen` at the
    /// latest.
    pub fn placement(&self, before: Option<Schedule>, after: Option<Schedule>, seen: Instant) -> Placement {
        let (Some(before), Some(after)) = (before, after) else { return Placement::OnCpu };
        let queued = Duration::from_nanos(after.waited.0.saturating_sub(before.waited.0));
        // We ourselves may have pushed it off its CPU when our turn began: it then has waited since, and no longer.
        if queued > seen.saturating_duration_since(self.began) + self.margin {
            Placement::Queued
        } else if self.at_once {
            Placement::OnCpu
        } else {
            Placement::Unfair
        }
    }
}

/// The scheduler's account of the calling thread.
#[derive(Debug, Default)]
pub struct OwnAccount {
    thread: Option<Thread>,
    waited: Option<u64>,
    /// What a wait takes at least; absent before the first.
    least: Option<Duration>,
    goes_first: bool,
    /// The CPU time that the thread had used before it slept last.
    before_sleep: Option<Nanos>,
}

impl OwnAccount {
    /// Tells whether the calling thread goes before all threads without a priority. It then waits for the kernel to let go of its CPU
    /// now and then, and never for the end of another's slice: no moment is unfair.
    pub fn set_goes_first(&mut self, goes_first: bool) {
        self.goes_first = goes_first;
    }

    /// Whether the calling thread goes before all threads without a priority.
    pub fn goes_first(&self) -> bool {
        self.goes_first
    }

    /// How long the calling thread has waited for a CPU since it asked last; zero where the kernel does not tell.
    pub fn waited(&mut self) -> Duration {
        let tid = OWN_TID.with(|tid| *tid);
        if self.thread.as_ref().is_none_or(|thread| thread.tid != tid) {
            // A file of this name shows the account of the thread that has opened it.
            let own = Thread::open(Pid(std::process::id().cast_signed()), tid);
            (self.thread, self.waited) = (own.ok(), None);
        }
        let Some(now) = self.thread.as_ref().and_then(Thread::schedule) else { return Duration::ZERO };
        let before = self.waited.replace(now.waited.0).unwrap_or(now.waited.0);
        Duration::from_nanos(now.waited.0.saturating_sub(before))
    }

    /// Tells that the calling thread goes to sleep.
    pub fn sleeps(&mut self) {
        self.before_sleep = own::thread_cpu_time();
    }

    /// For how long the calling thread has run since then: a little more than since it was given its CPU. Zero where that is not known.
    pub fn ran_since_sleep(&mut self) -> Duration {
        let before = self.before_sleep.take().zip(own::thread_cpu_time());
        before.map_or(Duration::ZERO, |(before, now)| Duration::from_nanos(now.0.saturating_sub(before.0)))
    }

    /// The turn that began at a moment, after the calling thread had slept and then waited so long for its CPU.
    pub fn turn_after_sleep(&mut self, waited: Duration, began: Instant) -> Turn {
        let (part, step) = FORGOTTEN;
        let before = self.least.map_or(LEAST_AT_FIRST, |least| least + least / part + step);
        self.least = Some(waited.min(before));
        self.turn_after(waited, began)
    }

    /// The turn that began at a moment, after the calling thread had waited so long for its CPU.
    pub fn turn_after(&self, waited: Duration, began: Instant) -> Turn {
        let margin = AT_ONCE.max(self.least.unwrap_or_default() * TIMES_THE_LEAST);
        Turn { began, at_once: self.goes_first || waited <= margin, margin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Nanos;

    /// The placement of a thread that has queued for so long, at a stop 500 µs after our turn began.
    fn after_queueing(queued_us: u64, at_once: bool) -> Placement {
        let began = Instant::now();
        let schedule = |waited| Some(Schedule { on_cpu: Nanos(7), waited: Nanos(waited), timeslices: 3 });
        let seen = began + Duration::from_micros(500);
        Turn { began, at_once, margin: AT_ONCE }.placement(schedule(1_000), schedule(1_000 + queued_us * 1_000), seen)
    }

    #[test]
    fn who_has_queued_since_before_our_turn_had_no_cpu() {
        assert_eq!(after_queueing(561, true), Placement::Queued);
        assert_eq!(after_queueing(20_000, false), Placement::Queued);
    }

    #[test]
    fn who_runs_or_was_pushed_off_by_us_had_one() {
        assert_eq!(after_queueing(0, true), Placement::OnCpu);
        assert_eq!(after_queueing(480, true), Placement::OnCpu);
    }

    #[test]
    fn a_late_turn_of_ours_is_no_fair_moment() {
        assert_eq!(after_queueing(0, false), Placement::Unfair);
        let mut account = OwnAccount::default();
        assert!(account.turn_after(AT_ONCE, Instant::now()).at_once);
        assert!(!account.turn_after(Duration::from_millis(2), Instant::now()).at_once);
        // Where it always takes as long it is no slice's end; where it is short now and then it is.
        let mut slow = |wait: u64| account.turn_after_sleep(Duration::from_micros(wait), Instant::now()).at_once;
        assert!([0; 100].map(|_| slow(700)).iter().all(|at_once| *at_once));
        assert!(!slow(4_000));
        assert_eq!([20, 4_000, 4_000, 4_000, 20, 4_000].map(&mut slow), [true, false, false, false, true, false]);
    }

    #[test]
    fn who_goes_first_waits_for_no_slice_to_end() {
        let mut account = OwnAccount::default();
        account.set_goes_first(true);
        assert!(account.turn_after_sleep(Duration::from_millis(2), Instant::now()).at_once);
    }

    #[test]
    fn without_an_account_every_moment_counts() {
        let turn = OwnAccount::default().turn_after(Duration::ZERO, Instant::now());
        assert_eq!(turn.placement(None, None, Instant::now()), Placement::OnCpu);
    }

    #[test]
    fn our_own_account_is_of_the_thread_that_asks() {
        let mut account = OwnAccount::default();
        assert_eq!(account.waited(), Duration::ZERO, "the first time there is nothing to compare with");
        let own = account.thread.as_ref().map(|thread| thread.tid);
        let other = std::thread::spawn(move || {
            account.waited();
            account.thread.as_ref().map(|thread| thread.tid)
        });
        assert!(own.is_some() && own != other.join().unwrap());
    }
}
