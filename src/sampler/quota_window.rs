//! How much of a CPU quota is left, as far as that can be known from outside the kernel.
//!
//! Does: remember how much CPU time was used when, and tell what the kernel has left at least. Does not: measure, or keep time.

use std::collections::VecDeque;

use crate::target::cpu_quota::CpuQuota;
use crate::types::Nanos;

/// Points of the account are so many to a period apart at least.
const POINTS: u64 = 16;
/// So many periods are looked back on. A debt is at most what can be used between two of the scheduler's ticks, on all CPUs.
const PERIODS: u64 = 16;

/// What was used of a quota lately.
///
/// The kernel fills the account at the beginning of each period, up to the quota and no further, and does not tell when that is. What is
/// used beyond it is a debt: as much is missing in the next period. So what is left is, for whatever beginning of the periods, at least
/// the quota of n periods without what was used in the last n, of the n with the smallest result.
#[derive(Debug)]
pub struct QuotaWindow {
    quota: CpuQuota,
    /// When so much had been used in all: in the order of time.
    points: VecDeque<(Nanos, Nanos)>,
    /// What is taken to have been used before the beginning: all that could be.
    before: u64,
}

impl QuotaWindow {
    /// An account that begins now, when `used` has been used in all.
    pub fn new(quota: CpuQuota, now: Nanos, used: Nanos) -> QuotaWindow {
        let before = quota.time.0;
        let points = VecDeque::from([(now, used), (now, Nanos(used.0.saturating_add(before)))]);
        QuotaWindow { quota, points, before }
    }

    /// The quota.
    pub fn quota(&self) -> CpuQuota {
        self.quota
    }

    /// It has another quota from now on.
    pub fn set_quota(&mut self, quota: CpuQuota) {
        self.quota = quota;
    }

    /// Whether [`note`](Self::note) has something to note.
    pub fn is_due(&self, now: Nanos) -> bool {
        self.points.back().is_none_or(|(at, _)| now.0.saturating_sub(at.0) >= self.quota.period.0 / POINTS)
    }

    /// Takes note of what has been used until now.
    pub fn note(&mut self, now: Nanos, used: Nanos) {
        if !self.is_due(now) {
            return;
        }
        self.points.push_back((now, Nanos(used.0.saturating_add(self.before))));
        let oldest = now.0.saturating_sub(self.quota.period.0.saturating_mul(PERIODS));
        // The last one before is what a window that begins there is measured from.
        while self.points.get(1).is_some_and(|(at, _)| at.0 <= oldest) {
            self.points.pop_front();
        }
    }

    /// How much is left at least, when `used` has been used in all; less than nothing of a debt.
    pub fn left(&self, now: Nanos, used: Nanos) -> i128 {
        let used = i128::from(used.0) + i128::from(self.before);
        let left = (1..=PERIODS).filter_map(|periods| {
            let start = now.0.checked_sub(self.quota.period.0.saturating_mul(periods));
            let later = start.map_or(0, |start| self.points.partition_point(|(at, _)| at.0 <= start));
            let (_, before) = self.points.get(later.saturating_sub(1))?;
            Some(i128::from(self.quota.time.0) * i128::from(periods) - (used - i128::from(before.0)))
        });
        left.min().unwrap_or(0)
    }

    /// When so much is left again if nothing is used until then; a period from now at the latest, to be asked anew.
    pub fn has_left_at(&self, now: Nanos, used: Nanos, needed: i128) -> Nanos {
        let latest = now.0.saturating_add(self.quota.period.0);
        let used = i128::from(used.0) + i128::from(self.before);
        let times = (1..=PERIODS).map(|periods| {
            // What was used up to the beginning of that many periods is not missing any more.
            let enough = used + needed - i128::from(self.quota.time.0) * i128::from(periods);
            match self.points.partition_point(|(_, before)| i128::from(before.0) < enough) {
                0 => 0,
                first => self
                    .points
                    .get(first)
                    .map_or(latest, |(at, _)| at.0.saturating_add(self.quota.period.0.saturating_mul(periods))),
            }
        });
        Nanos(times.max().unwrap_or(latest).clamp(now.0, latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: u64 = 1_000;
    const MILLISECOND: u64 = 1_000_000;
    const QUOTA: CpuQuota = CpuQuota { time: Nanos(2 * MILLISECOND), period: Nanos(100 * MILLISECOND) };

    fn at(ms: u64) -> Nanos {
        Nanos(ms * MILLISECOND)
    }

    #[test]
    fn all_of_it_may_have_been_used_before_the_beginning() {
        let window = QuotaWindow::new(QUOTA, at(1000), at(7));
        assert_eq!(window.left(at(1000), at(7)), 0);
        assert_eq!(window.left(at(1099), at(7)), 0);
        assert_eq!(window.left(at(1100), at(7)), i128::from(QUOTA.time.0));
        assert_eq!(window.left(at(1100), at(8)), i128::from(MILLISECOND));
    }

    #[test]
    fn what_was_used_in_the_last_period_is_missing() {
        let mut window = QuotaWindow::new(QUOTA, at(0), at(0));
        window.note(at(500), at(0));
        window.note(at(510), at(1));
        assert_eq!(window.left(at(550), at(1)), i128::from(MILLISECOND));
        assert_eq!(window.left(at(609), at(1)), i128::from(MILLISECOND));
        assert_eq!(window.left(at(610), at(1)), i128::from(2 * MILLISECOND));
    }

    #[test]
    fn a_debt_is_paid_back_in_later_periods_and_no_room_is_saved_up() {
        let mut window = QuotaWindow::new(QUOTA, at(0), at(0));
        window.note(at(500), at(0));
        window.note(at(507), at(5));
        assert_eq!(window.left(at(550), at(5)), -3 * i128::from(MILLISECOND));
        assert_eq!(window.left(at(620), at(5)), -i128::from(MILLISECOND));
        assert_eq!(window.left(at(720), at(5)), i128::from(MILLISECOND));
        assert_eq!(window.left(at(900), at(5)), i128::from(2 * MILLISECOND));
        assert_eq!(window.left(at(100_000), at(5)), i128::from(2 * MILLISECOND));
    }

    #[test]
    fn it_is_known_when_room_comes() {
        let mut window = QuotaWindow::new(QUOTA, at(0), at(0));
        let needed = i128::from(MILLISECOND);
        assert_eq!(window.has_left_at(at(5), at(0), needed), at(100));
        window.note(at(500), at(0));
        window.note(at(507), at(1));
        window.note(at(520), at(2));
        for (now, used) in [(at(520), at(2)), (at(530), at(2)), (at(530), Nanos(2 * MILLISECOND + 1))] {
            let then = window.has_left_at(now, used, needed);
            assert!(window.left(then, used) >= needed, "{now:?} {used:?}");
            assert!(window.left(Nanos(then.0 - 1), used) < needed, "{now:?} {used:?}");
        }
        assert_eq!(window.has_left_at(at(900), at(2), needed), at(900), "it is there");
        assert_eq!(window.has_left_at(at(900), at(9), needed), at(1000), "at most a period later it is asked anew");
    }

    #[test]
    fn an_account_has_an_end_and_its_numbers_may_be_anything() {
        let mut window = QuotaWindow::new(QUOTA, at(0), at(0));
        (0..100_000).for_each(|ms| window.note(at(ms), Nanos(ms)));
        assert!(window.points.len() as u64 <= PERIODS * POINTS + 2, "{}", window.points.len());
        for quota in
            [CpuQuota { time: Nanos(u64::MAX), period: Nanos(u64::MAX) }, CpuQuota { time: Nanos(1), period: Nanos(1) }]
        {
            let mut window = QuotaWindow::new(quota, Nanos(u64::MAX), Nanos(u64::MAX));
            window.note(Nanos(0), Nanos(0));
            window.note(Nanos(u64::MAX), Nanos(u64::MAX));
            window.left(Nanos(0), Nanos(u64::MAX));
            window.has_left_at(Nanos(u64::MAX), Nanos(u64::MAX), i128::from(u64::MAX));
        }
    }

    /// What the kernel does: it fills the account up at moments that only it knows, and a debt is paid back first.
    struct Kernel {
        next_period: u64,
        left: i64,
        throttled: u64,
    }

    impl Kernel {
        fn new(phase: u64) -> Kernel {
            Kernel { next_period: phase, left: QUOTA.time.0 as i64, throttled: 0 }
        }

        /// What has nothing left waits for the next period.
        fn may_run(&mut self, now: &mut u64) {
            self.fill(*now);
            while self.left <= 0 {
                *now = self.next_period;
                self.fill(*now);
            }
        }

        fn fill(&mut self, now: u64) {
            while self.next_period <= now {
                self.left = (self.left + QUOTA.time.0 as i64).min(QUOTA.time.0 as i64);
                self.next_period += QUOTA.period.0;
            }
        }

        fn runs(&mut self, time: u64) {
            self.left -= time as i64;
            self.throttled += u64::from(self.left < 0);
        }
    }

    /// 10 s of ticks at 300 Hz, each of which costs 5 µs to wake for and 60 µs to 160 µs to serve, in which something else takes 5 ms once
    /// a second. Returns how many were served, and how many of those the kernel throttled in the middle.
    fn simulate(phase: u64, room: i128) -> (u64, u64) {
        let mut kernel = Kernel::new(phase);
        let mut window = QuotaWindow::new(QUOTA, Nanos(0), Nanos(0));
        let (mut now, mut used, mut random) = (0, 0, phase | 1);
        let (mut served, mut throttled) = (0, 0);
        while now < 10_000 * MILLISECOND {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut run = |kernel: &mut Kernel, now: &mut u64, time: u64| {
                kernel.runs(time);
                used += time;
                *now += time;
                used
            };
            now += 2 * MILLISECOND + (random >> 33) % (2 * MILLISECOND + MILLISECOND / 2);
            kernel.may_run(&mut now);
            if (random >> 40).is_multiple_of(300) {
                run(&mut kernel, &mut now, 5 * MILLISECOND);
                kernel.may_run(&mut now);
            }
            let woken = run(&mut kernel, &mut now, 5 * MICROSECOND);
            window.note(Nanos(now), Nanos(woken));
            if window.left(Nanos(now), Nanos(woken)) >= room {
                let before = kernel.throttled;
                run(&mut kernel, &mut now, (60 + (random >> 50) % 100) * MICROSECOND);
                served += 1;
                throttled += kernel.throttled - before;
            }
        }
        (served, throttled)
    }

    #[test]
    fn no_tick_is_throttled_in_its_middle_whenever_periods_begin() {
        for phase in (0..20).map(|part| part * QUOTA.period.0 / 20) {
            let (served, throttled) = simulate(phase, i128::from(160 * MICROSECOND));
            assert_eq!(throttled, 0, "of {served}, periods begin at {phase} ns");
            // 100 periods of 2 ms, of which 0.65 ms go elsewhere and 0.16 ms are kept: at most ten of 0.11 ms fit.
            assert!(served > 100 * 6, "{served}: most of the quota is used");
            assert!(simulate(phase, i128::MIN).1 > 10, "without an account some are");
        }
    }
}
