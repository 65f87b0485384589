//! How often the kernel throttles the target while it is recorded.
//!
//! Does: read the counts of its control groups when the recording begins, now and then, and at the end.
//! Does not: word them.

use std::time::{Duration, Instant};

use crate::profile::facts::throttling::ThrottlingFacts;
use crate::target::cgroup::{CpuGroup, CpuGroups};
use crate::target::cpu_quota::{CpuQuota, Throttled};
use crate::types::Pid;

/// What is read this often is known of a target that ends, and whose group is gone with it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a target was throttled, from a beginning until now.
#[derive(Debug)]
pub struct TargetThrottling {
    groups: CpuGroups,
    pid: Pid,
    limited: Vec<LimitedGroup>,
    looked: Instant,
}

/// A group of the target's that had a quota when the recording began.
#[derive(Debug)]
struct LimitedGroup {
    group: CpuGroup,
    first: Throttled,
    last: (CpuQuota, Throttled),
}

impl TargetThrottling {
    /// That of a target, beginning now.
    pub fn new(groups: CpuGroups, pid: Pid) -> TargetThrottling {
        let limited = groups.of(pid).into_iter().filter_map(LimitedGroup::new).collect();
        TargetThrottling { groups, pid, limited, looked: Instant::now() }
    }

    /// Takes note of it when it is time for it.
    pub fn look(&mut self) {
        if !self.limited.is_empty() && self.looked.elapsed() >= LOOK_EVERY {
            self.look_now();
        }
    }

    fn look_now(&mut self) {
        self.looked = Instant::now();
        let groups = self.groups.of(self.pid);
        // One that the target has left counts what others do. None are told of a target that is gone.
        self.limited.retain(|limited| groups.is_empty() || groups.contains(&limited.group));
        self.limited.iter_mut().for_each(LimitedGroup::look);
    }

    /// The quota that has stopped the target for longest until now; `None` if none has.
    pub fn until_now(&mut self) -> Option<ThrottlingFacts> {
        self.look_now();
        self.limited.iter().filter_map(LimitedGroup::facts).max_by_key(|facts| facts.throttled.time)
    }
}

impl LimitedGroup {
    fn new(group: CpuGroup) -> Option<LimitedGroup> {
        let (quota, first) = (group.quota()?, group.throttled()?);
        Some(LimitedGroup { group, first, last: (quota, first) })
    }

    /// What cannot be read any more stays as it was.
    fn look(&mut self) {
        let (quota, throttled) = self.last;
        self.last = (self.group.quota().unwrap_or(quota), self.group.throttled().unwrap_or(throttled));
    }

    fn facts(&self) -> Option<ThrottlingFacts> {
        let (quota, last) = self.last;
        let throttled = last.since(self.first)?;
        (throttled.throttled > 0).then_some(ThrottlingFacts { quota, throttled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Nanos;

    fn limited(counts: [(u64, u64, u64); 2]) -> LimitedGroup {
        let [first, last] = counts.map(|(periods, throttled, ns)| Throttled { periods, throttled, time: Nanos(ns) });
        let quota = CpuQuota { time: Nanos(25), period: Nanos(100) };
        LimitedGroup { group: CpuGroup::gone(), first, last: (quota, last) }
    }

    #[test]
    fn what_was_throttled_before_is_not_of_the_recording() {
        let facts = limited([(100, 50, 7_000), (140, 81, 9_000)]).facts().unwrap();
        assert_eq!(facts.throttled, Throttled { periods: 40, throttled: 31, time: Nanos(2_000) });
    }

    #[test]
    fn of_what_was_not_throttled_nothing_is_told() {
        assert_eq!(limited([(100, 50, 7_000), (140, 50, 7_000)]).facts(), None);
        assert_eq!(limited([(100, 50, 7_000), (1, 1, 1)]).facts(), None, "the group was made anew");
    }

    #[test]
    fn the_quota_that_stopped_it_for_longest_is_told() {
        let [little, much] = [(9, 8, 3), (9, 2, 6)].map(|last| limited([(0, 0, 0), last]));
        let of = |limited| TargetThrottling {
            groups: CpuGroups::default(),
            pid: Pid(i32::MAX),
            limited,
            looked: Instant::now(),
        };
        let facts = of(vec![little, much]).until_now().unwrap();
        assert_eq!(facts.throttled.time, Nanos(6), "{facts:?}");
        assert_eq!(of(Vec::new()).until_now(), None);
    }
}
