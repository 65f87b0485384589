//! The sampling clock: when to look.
//!
//! Does: draw intervals with an exponential distribution, none shorter than a sample takes (a Poisson process with a dead
//! time), so that no period of the target can lock onto ours, or fixed ones on request; keep absolute deadlines; count the
//! ticks that could not be kept.
//! Does not: make up for late ticks: a burst of catch-up samples would all show the same moment.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

use super::precedence::Precedence;
use crate::types::Nanos;

/// The highest rate that is taken: beyond it a sample would cost more than the interval.
pub const MAX_RATE: f64 = 100_000.0;

/// No interval is longer than this many mean intervals: e^-20 of them would be.
const LONGEST: f64 = 20.0;

/// A sleep may end so many nanoseconds late (PR_SET_TIMERSLACK, prctl(2)).
const TIMER_SLACK: u64 = 1_000;
/// Going to sleep and waking up takes longer than this.
const SPIN_BELOW: Nanos = Nanos(15_000);

/// By what the dead time changes when a sample takes longer, and when one does not: with 49 that do not for each one that does
/// it stays as it is, so that one sample in fifty takes longer. An average would not do: threads that run take longer to
/// sample than threads that wait, and the ticks that are lost would be those of threads that run.
const LONGER: f64 = 1.05;
const SHORTER: f64 = 0.999;
/// The dead time is at most this share of the mean interval: the rest makes ticks fall anywhere in a period of the target.
const LONGEST_DEAD_TIME: f64 = 0.5;
/// And not so short that it could not grow, in nanoseconds.
const SHORTEST_DEAD_TIME: f64 = 1_000.0;

/// How the intervals between ticks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intervals {
    /// A dead time and an exponentially distributed rest: each moment is as likely as any other, whatever the target does
    /// when.
    Poisson,
    /// All equal. A target with the same period, or a multiple of it, is always seen doing the same.
    Fixed,
}

/// A sampling clock.
#[derive(Debug)]
pub struct Clock {
    intervals: Intervals,
    mean: f64,
    /// What nearly all samples take at most, in nanoseconds.
    dead_time: f64,
    random: u64,
    /// When the last tick was due.
    due: Nanos,
    deadline: Nanos,
    wanted: u64,
    late: u64,
    precedence: Option<Precedence>,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// It is time for a sample.
    Due,
    /// A signal interrupted the wait.
    Interrupted,
}

impl Clock {
    /// A clock for the calling thread, with `rate` ticks a second on average, beginning now. `seed` makes its intervals.
    pub fn new(rate: f64, intervals: Intervals, seed: u64) -> Clock {
        let mut clock = Clock::resting(rate, intervals, seed);
        clock.begin();
        clock
    }

    /// The same, beginning when it is told to.
    pub fn resting(rate: f64, intervals: Intervals, seed: u64) -> Clock {
        let (due, deadline) = (Nanos(0), Nanos(0));
        let (mean, random) = (1e9 / rate, seed | 1);
        Clock { intervals, mean, dead_time: 0.0, random, due, deadline, wanted: 0, late: 0, precedence: None }
    }

    /// Begins, or goes on, now and for the calling thread: ticks that passed while it was resting are none.
    pub fn begin(&mut self) {
        // A kernel that refuses this only makes ticks come later, by the 50 µs that are usual.
        let _ = set_timerslack(TIMER_SLACK);
        // One that refuses this makes them later where the target has the CPU.
        self.precedence = Precedence::ask().ok();
        self.due = now();
        self.deadline = self.due;
        self.advance();
    }

    /// Rests until it begins again, maybe for another thread. The calling thread has the turn that it had before.
    pub fn rest(&mut self) {
        self.precedence = None;
    }

    /// Whether the calling thread goes before all threads without a priority.
    pub fn goes_first(&self) -> bool {
        self.precedence.as_ref().is_some_and(Precedence::goes_first)
    }

    /// Sleeps until the next tick or until `limit`, whichever is first.
    pub fn wait(&mut self, limit: Option<Nanos>) -> Tick {
        let until = limit.map_or(self.deadline, |limit| limit.min(self.deadline));
        while until.0.saturating_sub(now().0) < SPIN_BELOW.0 {
            if now() >= until {
                return self.tick(until);
            }
            std::hint::spin_loop();
        }
        let time = TimeSpec::from_duration(Duration::from_nanos(until.0));
        match clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &time) {
            Err(Errno::EINTR) => Tick::Interrupted,
            _ => self.tick(until),
        }
    }

    /// The same, but sleeps by `sleep`, which may return before its time is over: the wait is then interrupted.
    pub fn wait_with(&mut self, limit: Option<Nanos>, sleep: impl FnOnce(Duration)) -> Tick {
        let until = limit.map_or(self.deadline, |limit| limit.min(self.deadline));
        let left = until.0.saturating_sub(now().0);
        if left > 0 {
            sleep(Duration::from_nanos(left));
        }
        if now() < until { Tick::Interrupted } else { self.tick(until) }
    }

    /// What has ended a wait that ended at `until`.
    fn tick(&mut self, until: Nanos) -> Tick {
        if until < self.deadline {
            return Tick::Interrupted;
        }
        self.wanted += 1;
        self.due = until;
        self.advance();
        Tick::Due
    }

    /// When the last tick was due.
    pub fn due_at(&self) -> Instant {
        let at = Instant::now();
        at.checked_sub(Duration::from_nanos(now().0.saturating_sub(self.due.0))).unwrap_or(at)
    }

    /// Ticks that were due so far, kept or late.
    pub fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Ticks that passed while we were still busy with an earlier one.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// A sample has been taken: counts the ticks that passed meanwhile.
    pub fn skip_missed(&mut self) {
        let now = now();
        self.learn(now.0.saturating_sub(self.due.0) as f64);
        while self.deadline < now {
            self.wanted += 1;
            self.late += 1;
            self.advance();
        }
    }

    /// Passes over the ticks before `until`, without a wake for each. Returns how many.
    pub fn pass_over(&mut self, until: Nanos) -> u64 {
        let before = self.wanted;
        while self.deadline < until {
            self.wanted += 1;
            self.advance();
        }
        self.wanted - before
    }

    /// Takes note of how long a sample took.
    fn learn(&mut self, sample: f64) {
        let longer = sample > self.dead_time;
        let changed = self.dead_time * if longer { LONGER } else { SHORTER };
        self.dead_time = changed.clamp(SHORTEST_DEAD_TIME, (self.mean * LONGEST_DEAD_TIME).max(SHORTEST_DEAD_TIME));
    }

    fn advance(&mut self) {
        self.deadline.0 += self.interval().max(1.0) as u64;
    }

    /// Without the dead time a tenth of the ticks would be lost to a sample that takes a tenth of the mean interval: so many
    /// exponentially distributed intervals are shorter. Inverse transform sampling: -ln(U) / rate.
    fn interval(&mut self) -> f64 {
        if self.intervals == Intervals::Fixed {
            return self.mean;
        }
        // xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled").
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        let uniform = (bits as f64 + 1.0) / (1u64 << 53) as f64;
        self.dead_time + (self.mean - self.dead_time) * (-uniform.ln()).min(LONGEST)
    }
}

/// The monotonic clock, now.
pub fn now() -> Nanos {
    // CLOCK_MONOTONIC cannot fail on Linux; zero would only make the next deadline due at once.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Nanos(0), |time| Nanos::from(Duration::from(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intervals(count: usize) -> Vec<f64> {
        let mut clock = Clock::new(100.0, Intervals::Poisson, 42);
        (0..count).map(|_| clock.interval()).collect()
    }

    #[test]
    fn intervals_are_exponential() {
        let sample = intervals(100_000);
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / sample.len() as f64;
        // Mean and standard deviation of an exponential distribution are equal; here 10 ms, to within 1 %.
        assert!((mean / 1e7 - 1.0).abs() < 0.01, "mean {mean}");
        assert!((variance.sqrt() / 1e7 - 1.0).abs() < 0.02, "deviation {}", variance.sqrt());
        let median = sample.iter().filter(|x| **x < 1e7 * std::f64::consts::LN_2).count();
        assert!((49_000..51_000).contains(&median), "{median} of 100,000 are below the median");
    }

    #[test]
    fn no_interval_is_shorter_than_a_sample_takes_and_the_rate_is_the_same() {
        let mut clock = Clock::new(1000.0, Intervals::Poisson, 42);
        clock.dead_time = 300_000.0;
        let sample: Vec<f64> = (0..100_000).map(|_| clock.interval()).collect();
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        assert!((mean / 1e6 - 1.0).abs() < 0.01, "mean {mean}");
        assert!(sample.iter().all(|interval| *interval >= 300_000.0));
        let spread = (sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / sample.len() as f64).sqrt();
        assert!((spread / 7e5 - 1.0).abs() < 0.02, "the rest is exponential: its deviation is {spread}");
    }

    #[test]
    fn samples_that_take_longer_than_the_interval_leave_half_of_it_to_chance() {
        let mut clock = Clock::new(1000.0, Intervals::Poisson, 42);
        (0..1000).for_each(|_| clock.learn(5e6));
        assert!((0..10_000).all(|_| clock.interval() >= 500_000.0));
        assert!((0..10_000).any(|_| clock.interval() >= 2_000_000.0));
    }

    #[test]
    fn what_nearly_all_samples_take_is_learned() {
        let mut clock = Clock::new(1000.0, Intervals::Poisson, 42);
        // Most take 20 µs; one in ten takes 200 µs, one in two hundred a second.
        let takes = |n: u32| {
            if n.is_multiple_of(200) {
                1e9
            } else if n.is_multiple_of(10) {
                200_000.0
            } else {
                20_000.0
            }
        };
        (1..5000).for_each(|n| clock.learn(takes(n)));
        assert!((200_000.0..230_000.0).contains(&clock.dead_time), "{}", clock.dead_time);
    }

    #[test]
    fn fixed_intervals_are_equal() {
        let mut clock = Clock::new(250.0, Intervals::Fixed, 42);
        assert!((0..100).all(|_| clock.interval() == 4e6));
    }

    #[test]
    fn late_ticks_are_counted_and_not_made_up_for() {
        let mut clock = Clock::new(1000.0, Intervals::Poisson, 7);
        let start = now();
        clock.deadline = Nanos(start.0 - 100_000_000);
        clock.skip_missed();
        assert!((60..160).contains(&clock.late()), "about 100 ticks of 1 kHz in 100 ms, not {}", clock.late());
        assert_eq!(clock.wanted(), clock.late());
        assert!(clock.deadline >= start, "the next tick is ahead");
    }

    #[test]
    fn ticks_that_are_passed_over_are_wanted_and_not_late() {
        let mut clock = Clock::new(1000.0, Intervals::Poisson, 7);
        let until = Nanos(now().0 + 100_000_000);
        let passed = clock.pass_over(until);
        assert!((60..160).contains(&passed), "about 100 ticks of 1 kHz in 100 ms, not {passed}");
        assert_eq!((clock.wanted(), clock.late()), (passed, 0));
        assert!(clock.deadline >= until);
        assert_eq!(clock.pass_over(until), 0);
    }

    #[test]
    fn a_limit_ends_the_wait_without_a_tick() {
        let mut clock = Clock::new(0.001, Intervals::Poisson, 7);
        assert_eq!(clock.wait(Some(now())), Tick::Interrupted);
        assert_eq!(clock.wanted(), 0);
    }
}
