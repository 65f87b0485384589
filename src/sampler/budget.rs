//! What sampling may cost, and how many ticks of the clock that leaves.
//!
//! Does: compare what was spent with what may be, again and again, and let only each second, third, … tick through when
//! it is too much. Such a sample stands for the ticks before it as well, so that busy and quiet times of the target keep
//! their shares.
//! Does not: measure, or keep time.

use crate::target::cpu_quota::CpuQuota;
use crate::types::Nanos;

/// What was spent is looked at this often: in this time enough samples are taken to judge by, and no target has suffered.
const REVIEW_EVERY: Nanos = Nanos(250_000_000);
/// For so long must reviews find room before more ticks are let through: costs vary.
const ROOM_BEFORE_MORE: Nanos = Nanos(1_000_000_000);
/// A review lets no fewer through than one in so many of those before: what has cost much may have been no sample's doing, and the next
/// review is to come soon.
const MOST_FEWER: u64 = 4;
/// The fewest ticks that are let through: one in so many.
const MAX_STRIDE: u64 = 10_000;
/// A look that has told nothing is repeated at the next tick, at most so many times: a machine on which each tells nothing is not to
/// have one at each tick.
const MAX_REPEATS: u32 = 3;

/// The most that sampling may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Of the time of each thread of the target that is stopped, as a share.
    pub target: f64,
    /// Of one CPU, for fpprof itself, as a share.
    pub own: f64,
}

/// fpprof's own share is that of one CPU, and most machines have several: five times as much does no more harm.
const OWN_TO_TARGET: f64 = 5.0;

impl Limits {
    /// This share of the target's time, from 0 to 1, and what goes with it of one CPU.
    pub const fn of_target(share: f64) -> Limits {
        Limits { target: share, own: share * OWN_TO_TARGET }
    }
}

/// What sampling has cost from the beginning until now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// When this was measured.
    pub at: Nanos,
    /// How many stops there were.
    pub stops: u64,
    /// How long all of them took.
    pub stopped: Nanos,
    /// The CPU time that the thread which samples has used.
    pub own_cpu: Nanos,
}

/// Which limit was exceeded, if one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// That of the target's time.
    Target,
    /// That of fpprof's own CPU time.
    Own,
    /// The quota that the kernel holds fpprof to.
    Quota(CpuQuota),
}

/// Lets as many ticks through as the limits allow.
#[derive(Debug)]
pub struct Budget {
    limits: Option<Limits>,
    stride: u64,
    /// Ticks since the last that was let through, this one included.
    waiting: u64,
    /// How often in a row the last look was repeated.
    repeats: u32,
    /// Whether the next tick repeats it.
    repeat: bool,
    let_through: u64,
    left_out: u64,
    last: Option<(Spent, u64)>,
    /// For how long reviews have found room.
    room_for: Nanos,
    exceeded: Option<Exceeded>,
}

impl Budget {
    /// A budget with these limits; without any, every tick is let through.
    pub fn new(limits: Option<Limits>) -> Budget {
        Budget {
            limits,
            stride: 1,
            waiting: 0,
            repeats: 0,
            repeat: false,
            let_through: 0,
            left_out: 0,
            last: None,
            room_for: Nanos(0),
            exceeded: None,
        }
    }

    /// Whether a sample is to be taken at this tick; if so, for how many ticks it stands. `fits` is asked where the limits allow one,
    /// and may forbid it because of a quota.
    pub fn admit(&mut self, fits: impl FnOnce() -> Result<(), CpuQuota>) -> Option<u64> {
        self.waiting += 1;
        if self.waiting < self.stride && !self.repeat {
            self.left_out += 1;
            return None;
        }
        if let Err(quota) = fits() {
            self.exceeded = Some(Exceeded::Quota(quota));
            self.left_out += 1;
            return None;
        }
        self.repeats = if self.repeat { self.repeats + 1 } else { 0 };
        self.repeat = false;
        self.let_through += 1;
        Some(std::mem::take(&mut self.waiting))
    }

    /// Leaves so many ticks out besides.
    pub fn leave_out(&mut self, ticks: u64) {
        self.waiting += ticks;
        self.left_out += ticks;
    }

    /// Tells that the look which was let through last has told nothing. The next tick is let through, too: where one in dozens is, a
    /// short program would end without a sample.
    pub fn told_nothing(&mut self) {
        self.repeat = self.repeats < MAX_REPEATS;
    }

    /// Ticks at which no sample was taken because of the limits.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// One tick in so many is let through now.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// The limit that was exceeded last; `None` if none ever was.
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// Whether it is time for a review.
    pub fn is_review_due(&self, now: Nanos) -> bool {
        self.limits.is_some() && self.last.is_none_or(|(last, _)| now.0.saturating_sub(last.at.0) >= REVIEW_EVERY.0)
    }

    /// Judges what has been spent since the review before. The first one only takes note: what it cost to begin is not
    /// the cost of sampling.
    pub fn review(&mut self, spent: Spent) {
        let before = self.last.replace((spent, self.let_through));
        let (Some(limits), Some((before, let_through))) = (self.limits, before) else { return };
        let elapsed = spent.at.0.saturating_sub(before.at.0);
        let ticks = self.let_through - let_through;
        if elapsed == 0 || ticks == 0 {
            return;
        }
        let share = |later: Nanos, earlier: Nanos| later.0.saturating_sub(earlier.0) as f64 / elapsed as f64;
        // Threads that are stopped one after the other each lose their own stop only: at most one for each tick.
        let stops = spent.stops.saturating_sub(before.stops).max(1);
        let target = share(spent.stopped, before.stopped) * (ticks as f64 / stops as f64).min(1.0) / limits.target;
        let own = share(spent.own_cpu, before.own_cpu) / limits.own;
        let wanted = (target.max(own) * self.stride as f64).ceil().clamp(1.0, MAX_STRIDE as f64) as u64;
        if wanted > self.stride {
            self.exceeded = Some(if target > own { Exceeded::Target } else { Exceeded::Own });
            (self.stride, self.room_for) = (wanted.min(self.stride * MOST_FEWER), Nanos(0));
        } else if wanted < self.stride {
            self.room_for.0 += elapsed;
            if self.room_for >= ROOM_BEFORE_MORE {
                (self.stride, self.room_for) = (wanted, Nanos(0));
            }
        } else {
            self.room_for = Nanos(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { target: 0.01, own: 0.05 };

    /// A second of sampling with these costs of each sample, reviewed as the recording does.
    struct Simulation {
        budget: Budget,
        spent: Spent,
        weight: u64,
    }

    impl Simulation {
        fn new(limits: Option<Limits>) -> Simulation {
            let mut budget = Budget::new(limits);
            budget.review(Spent::default());
            Simulation { budget, spent: Spent::default(), weight: 0 }
        }

        /// Runs for a second and gives how many samples were taken in it.
        fn second(&mut self, rate: u64, stop_us: u64, own_us: u64) -> u64 {
            let mut taken = 0;
            for _ in 0..rate {
                self.spent.at.0 += 1_000_000_000 / rate;
                if let Some(weight) = self.budget.admit(|| Ok(())) {
                    self.weight += weight;
                    taken += 1;
                    self.spent.stops += 1;
                    self.spent.stopped.0 += stop_us * 1_000;
                    self.spent.own_cpu.0 += own_us * 1_000;
                }
                if self.budget.is_review_due(self.spent.at) {
                    self.budget.review(self.spent);
                }
            }
            taken
        }
    }

    #[test]
    fn what_costs_little_is_left_alone() {
        let mut run = Simulation::new(Some(LIMITS));
        assert_eq!(run.second(100, 60, 200), 100);
        assert_eq!((run.budget.left_out(), run.budget.exceeded()), (0, None));
    }

    #[test]
    fn too_long_stops_lower_the_rate_until_they_fit() {
        let mut run = Simulation::new(Some(LIMITS));
        run.second(1000, 60, 10);
        assert_eq!(run.budget.exceeded(), Some(Exceeded::Target));
        let taken = run.second(1000, 60, 10);
        assert!(taken * 60 <= 10_000, "{taken} stops of 60 µs are more than 1 % of a second");
        assert!(taken > 100, "{taken}: and not many fewer than fit");
    }

    #[test]
    fn too_much_cpu_of_our_own_lowers_it_too_and_room_raises_it_again() {
        let mut run = Simulation::new(Some(LIMITS));
        run.second(1000, 1, 200);
        assert_eq!(run.budget.exceeded(), Some(Exceeded::Own));
        assert!(run.second(1000, 1, 200) * 200 <= 50_000);
        run.second(1000, 1, 20);
        run.second(1000, 1, 20);
        assert_eq!(run.second(1000, 1, 20), 1000);
    }

    #[test]
    fn one_review_that_was_dear_is_soon_forgotten() {
        let mut run = Simulation::new(Some(LIMITS));
        run.second(100, 5, 20);
        // Something that is no sample's doing: two seconds of CPU time.
        run.spent.own_cpu.0 += 2_000_000_000;
        run.second(100, 5, 20);
        run.second(100, 5, 20);
        assert_eq!((run.second(100, 5, 20), run.budget.stride()), (100, 1));
    }

    #[test]
    fn samples_stand_for_the_ticks_that_were_left_out() {
        let mut run = Simulation::new(Some(LIMITS));
        for (stop, own) in [(5, 10), (300, 10), (5, 900), (5, 10)] {
            run.second(1000, stop, own);
        }
        assert!(run.budget.left_out() > 0);
        assert!((3900..=4000).contains(&run.weight), "{} of 4,000 ticks are accounted for", run.weight);
    }

    #[test]
    fn a_look_that_has_told_nothing_is_repeated_a_few_times() {
        let mut run = Simulation::new(Some(LIMITS));
        run.second(1000, 1_000, 10);
        let stride = run.budget.stride();
        assert!(stride >= 100, "{stride}");
        while run.budget.admit(|| Ok(())).is_none() {}
        let weights: Vec<u64> = (0..2 * stride)
            .filter_map(|_| {
                run.budget.told_nothing();
                run.budget.admit(|| Ok(()))
            })
            .collect();
        assert_eq!(weights, [1, 1, 1, stride, 1, 1, 1]);
    }

    #[test]
    fn a_sample_stands_for_the_ticks_that_did_not_fit_in_a_quota() {
        let quota = CpuQuota { time: Nanos(2_000_000), period: Nanos(100_000_000) };
        let mut budget = Budget::new(Some(LIMITS));
        assert_eq!(budget.admit(|| Ok(())), Some(1));
        assert_eq!([(); 3].map(|()| budget.admit(|| Err(quota))), [None; 3]);
        budget.leave_out(2);
        assert_eq!(budget.admit(|| Ok(())), Some(6));
        assert_eq!((budget.left_out(), budget.exceeded()), (5, Some(Exceeded::Quota(quota))));
    }

    #[test]
    fn a_quota_is_not_asked_where_the_limits_allow_no_sample() {
        let mut run = Simulation::new(Some(LIMITS));
        run.second(1000, 1_000, 10);
        let asked = std::cell::Cell::new(0);
        let fits = || {
            asked.set(asked.get() + 1);
            Ok(())
        };
        let taken = (0..1000).filter_map(|_| run.budget.admit(fits)).count();
        assert_eq!(asked.get(), taken);
    }

    #[test]
    fn without_limits_every_tick_counts() {
        let mut run = Simulation::new(None);
        assert_eq!(run.second(1000, 900, 900), 1000);
    }
}
