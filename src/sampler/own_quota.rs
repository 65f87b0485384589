//! The CPU quota of fpprof's own control groups, and whether a tick fits in what is left of it.
//!
//! Does: look up which quota there is, measure what is used of it and what a tick costs, and say no to a tick in which the kernel could
//! throttle fpprof: a thread that it has stopped then would stand still until the next period begins.
//! Does not: keep the account (`quota_window` does), weight what is left out (`budget` does), or reckon with a thread that goes first: the
//! kernel throttles only threads without such a priority (SCHED_FIFO; sched-bwc.rst).

use super::clock::now;
use super::quota_window::QuotaWindow;
use crate::target::cgroup::{CpuGroup, CpuGroups, UsedTime};
use crate::target::cpu_quota::CpuQuota;
use crate::target::own;
use crate::types::{Nanos, Pid};

/// Quotas are looked up this often: they are changed by people, and by what scales containers.
const LOOK_EVERY: Nanos = Nanos(1_000_000_000);
/// What the first tick is taken to cost, in nanoseconds.
const FIRST_COST: f64 = 1_000_000.0;
/// The cost that is reckoned with comes down by so much at each tick that costs less: one that costs as much is reckoned with for
/// some dozen ticks.
const COST_FALLS_BY: f64 = 1.0 / 16.0;
/// So often must what a tick costs fit: it may cost more than any did lately; and a stop that does not come at once is looked for
/// again and again, and served later, at a cost of its own.
const COST_MARGIN: f64 = 2.5;
/// At least so much is kept besides, in nanoseconds: a wake, and what other threads of fpprof do meanwhile.
const LEAST_RESERVE: f64 = 100_000.0;
/// But no more than this share of a quota: what costs more would never fit.
const MOST_OF_QUOTA: f64 = 0.5;

/// Which quotas fpprof must keep, and what is left of them.
#[derive(Debug)]
pub struct OwnQuota {
    groups: CpuGroups,
    target: Pid,
    applies: bool,
    looked_at: Option<Nanos>,
    limited: Vec<LimitedGroup>,
    cost: TickCost,
}

/// A tick may not fit in what is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// The quota.
    pub quota: CpuQuota,
    /// By the monotonic clock, before when there is none in any case.
    pub until: Nanos,
}

/// A group of fpprof's that has a quota.
#[derive(Debug)]
struct LimitedGroup {
    group: CpuGroup,
    window: QuotaWindow,
    /// What all in the group use; where nothing tells that, fpprof's own use is taken for it.
    used: Option<UsedTime>,
}

/// What a tick costs at most, learned from those that were served.
#[derive(Debug)]
struct TickCost {
    most: f64,
    /// The CPU time of the calling thread when the tick began.
    began: Option<Nanos>,
}

impl OwnQuota {
    /// That of this process, which samples a target.
    pub fn new(groups: CpuGroups, target: Pid) -> OwnQuota {
        let cost = TickCost { most: FIRST_COST, began: None };
        OwnQuota { groups, target, applies: true, looked_at: None, limited: Vec::new(), cost }
    }

    /// Tells whether the kernel throttles the calling thread at all: from now on, and until something else is told.
    pub fn set_applies(&mut self, applies: bool) {
        self.applies = applies;
    }

    /// Looks quotas up when it is time for it, and takes note of what was used until now.
    pub fn look(&mut self) {
        if !self.applies {
            return;
        }
        let at = now();
        if self.looked_at.is_none_or(|looked| at.0.saturating_sub(looked.0) >= LOOK_EVERY.0) {
            self.looked_at = Some(at);
            self.look_up(at);
        }
        for limited in self.limited.iter_mut().filter(|limited| limited.window.is_due(at)) {
            let used = limited.used(own::cpu_time().unwrap_or_default());
            limited.window.note(at, used);
        }
    }

    /// A quota that the target shares is none of these: it stands still when that is used up, whether fpprof holds it or not.
    fn look_up(&mut self, at: Nanos) {
        let shared = self.groups.of(self.target);
        let own = self.groups.own().into_iter().filter(|group| !shared.contains(group));
        let mut before = std::mem::take(&mut self.limited);
        self.limited = own
            .filter_map(|group| {
                let quota = group.quota()?;
                match before.iter().position(|limited| limited.group == group) {
                    Some(index) => {
                        let mut limited = before.swap_remove(index);
                        limited.window.set_quota(quota);
                        Some(limited)
                    }
                    None => Some(LimitedGroup::new(group, quota, at)),
                }
            })
            .collect();
    }

    /// Begins a tick, if it surely fits in what is left of each quota.
    ///
    /// # Errors
    /// A quota in which it may not fit.
    pub fn begin_tick(&mut self) -> Result<(), NoRoom> {
        if self.limited.is_empty() || !self.applies {
            return Ok(());
        }
        // The kernel brings its account of the calling thread up to date for this, that of its group with it.
        let (at, own) = (now(), own::cpu_time().unwrap_or_default());
        for limited in &mut self.limited {
            let used = limited.used(own);
            let quota = limited.window.quota();
            let needed = self.cost.needs(quota);
            if limited.window.left(at, used) < needed {
                return Err(NoRoom { quota, until: limited.window.has_left_at(at, used, needed) });
            }
        }
        self.begin_serving();
        Ok(())
    }

    /// Begins to serve what was asked for at an earlier tick: a stop that has come late stands still until that is done, so it always
    /// fits, and what it costs is learned.
    pub fn begin_serving(&mut self) {
        if !self.limited.is_empty() && self.applies {
            self.cost.began = own::thread_cpu_time();
        }
    }

    /// Ends a tick, or what was served.
    pub fn end_tick(&mut self) {
        let ended = self.cost.began.take().zip(own::thread_cpu_time());
        if let Some((began, ended)) = ended {
            self.cost.learn(ended.0.saturating_sub(began.0));
        }
    }
}

impl LimitedGroup {
    fn new(group: CpuGroup, quota: CpuQuota, at: Nanos) -> LimitedGroup {
        let used = group.used_time();
        let window = QuotaWindow::new(quota, at, used_by(used.as_ref(), own::cpu_time().unwrap_or_default()));
        LimitedGroup { group, window, used }
    }

    /// What was used in all, if fpprof itself has used `own`.
    fn used(&self, own: Nanos) -> Nanos {
        used_by(self.used.as_ref(), own)
    }
}

/// What a group has used, by the file that tells it; where there is none, what fpprof has.
fn used_by(told: Option<&UsedTime>, own: Nanos) -> Nanos {
    told.map_or(Some(own), UsedTime::now).unwrap_or_default()
}

impl TickCost {
    fn learn(&mut self, cost: u64) {
        let cost = cost as f64;
        self.most = cost.max(self.most + (cost - self.most) * COST_FALLS_BY);
    }

    /// How much must be left of a quota before a tick.
    fn needs(&self, quota: CpuQuota) -> i128 {
        (self.most * COST_MARGIN + LEAST_RESERVE).min(quota.time.0 as f64 * MOST_OF_QUOTA) as i128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: CpuQuota = CpuQuota { time: Nanos(5_000_000), period: Nanos(100_000_000) };

    #[test]
    fn what_ticks_cost_is_learned_at_once_and_forgotten_slowly() {
        let mut cost = TickCost { most: FIRST_COST, began: None };
        (0..100).for_each(|_| cost.learn(50_000));
        let usual = cost.needs(QUOTA);
        assert!((225_000..235_000).contains(&usual), "{usual}");
        cost.learn(400_000);
        assert_eq!(cost.needs(QUOTA), 1_100_000);
        (0..10).for_each(|_| cost.learn(50_000));
        assert!((500_000..900_000).contains(&cost.needs(QUOTA)), "{}", cost.needs(QUOTA));
    }

    #[test]
    fn a_tick_that_costs_more_than_a_quota_is_not_left_out_for_ever() {
        let mut cost = TickCost { most: FIRST_COST, began: None };
        cost.learn(1_000_000_000);
        assert_eq!(cost.needs(QUOTA), 2_500_000);
    }

    #[test]
    fn without_a_quota_every_tick_begins() {
        let mut quota = OwnQuota::new(CpuGroups::default(), Pid(std::process::id() as i32));
        quota.look();
        assert_eq!(quota.begin_tick(), Ok(()));
        quota.end_tick();
    }

    #[test]
    fn a_quota_that_the_target_shares_is_none() {
        let own = Pid(std::process::id() as i32);
        let mut quota = OwnQuota::new(CpuGroups::here(), own);
        quota.look();
        assert!(quota.limited.is_empty(), "{quota:?}");
    }
}
