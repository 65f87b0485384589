//! The files of a control group that say how much CPU time it may take, and how often it was throttled.
//!
//! Does: parse them, of version 2 (`cpu.max`, `cpu.stat`) and of version 1 (`cpu.cfs_quota_us`, `cpu.stat`, `cpuacct.usage`).
//! Sources: Documentation/admin-guide/cgroup-v2.rst and Documentation/scheduler/sched-bwc.rst of the kernel.
//! Does not: read them, or judge what is in them.

use serde::{Deserialize, Serialize};

use crate::types::Nanos;

/// A group may use `time` on all CPUs together in each period; then all of it stands still until the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuQuota {
    /// The CPU time of one period.
    pub time: Nanos,
    /// How long a period is.
    pub period: Nanos,
}

/// How often a group has used up its quota, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttled {
    /// Periods in which it wanted to run.
    pub periods: u64,
    /// Those of them in which it was throttled.
    pub throttled: u64,
    /// For how long, summed over the CPUs on which it was.
    pub time: Nanos,
}

impl CpuQuota {
    /// From `cpu.max` of version 2: `QUOTA PERIOD` in microseconds. `None` without a quota (`max`), and of anything else.
    pub fn of_cpu_max(text: &str) -> Option<CpuQuota> {
        let mut words = text.split_whitespace();
        let (quota, period) = (words.next()?, words.next()?);
        CpuQuota::new(micros(quota)?, micros(period)?)
    }

    /// From `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1. `None` without a quota (-1), and of anything else.
    pub fn of_cfs(quota: &str, period: &str) -> Option<CpuQuota> {
        CpuQuota::new(micros(quota.trim())?, micros(period.trim())?)
    }

    fn new(time: Nanos, period: Nanos) -> Option<CpuQuota> {
        (time.0 > 0 && period.0 > 0).then_some(CpuQuota { time, period })
    }
}

impl Throttled {
    /// From `cpu.stat`. Version 2 has the time in microseconds (`throttled_usec`), version 1 in nanoseconds (`throttled_time`).
    pub fn of_cpu_stat(text: &str) -> Option<Throttled> {
        let number = |name| field(text, name)?.parse::<u64>().ok();
        let time = field(text, "throttled_usec").map_or_else(|| number("throttled_time").map(Nanos), micros)?;
        Some(Throttled { periods: number("nr_periods")?, throttled: number("nr_throttled")?, time })
    }

    /// What has come since an earlier look; `None` when the counts were begun anew.
    pub fn since(self, earlier: Throttled) -> Option<Throttled> {
        Some(Throttled {
            periods: self.periods.checked_sub(earlier.periods)?,
            throttled: self.throttled.checked_sub(earlier.throttled)?,
            time: Nanos(self.time.0.checked_sub(earlier.time.0)?),
        })
    }
}

/// The CPU time that a group has used, from `cpu.stat` of version 2.
pub fn used_of_cpu_stat(text: &str) -> Option<Nanos> {
    micros(field(text, "usage_usec")?)
}

/// The same, from `cpuacct.usage` of version 1.
pub fn used_of_cpuacct(text: &str) -> Option<Nanos> {
    text.trim().parse().ok().map(Nanos)
}

/// The value in a line `NAME VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim)
}

fn micros(number: &str) -> Option<Nanos> {
    number.parse::<u64>().ok()?.checked_mul(1000).map(Nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT_2: &str = "usage_usec 5012345\nuser_usec 4012345\nsystem_usec 1000000\nnr_periods 400\nnr_throttled 310\n\
        throttled_usec 18200000\nnr_bursts 0\nburst_usec 0\n";
    const STAT_1: &str = "nr_periods 211\nnr_throttled 82\nthrottled_time 6268538517\nnr_bursts 0\nburst_time 0\n";
    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn a_quota_is_read_from_either_version() {
        let quota = CpuQuota { time: Nanos(2 * MILLISECOND), period: Nanos(100 * MILLISECOND) };
        assert_eq!(CpuQuota::of_cpu_max("2000 100000\n"), Some(quota));
        assert_eq!(CpuQuota::of_cfs("2000\n", "100000\n"), Some(quota));
    }

    #[test]
    fn no_quota_is_none() {
        assert_eq!(CpuQuota::of_cpu_max("max 100000\n"), None);
        assert_eq!(CpuQuota::of_cfs("-1\n", "100000\n"), None);
    }

    #[test]
    fn what_was_throttled_is_read_from_either_version() {
        let time = Nanos(18_200 * MILLISECOND);
        assert_eq!(Throttled::of_cpu_stat(STAT_2), Some(Throttled { periods: 400, throttled: 310, time }));
        let time = Nanos(6_268_538_517);
        assert_eq!(Throttled::of_cpu_stat(STAT_1), Some(Throttled { periods: 211, throttled: 82, time }));
        assert_eq!(used_of_cpu_stat(STAT_2), Some(Nanos(5_012_345_000)));
        assert_eq!((used_of_cpu_stat(STAT_1), used_of_cpuacct("7129\n")), (None, Some(Nanos(7129))));
        // The root of version 2 has no quota.
        assert_eq!(Throttled::of_cpu_stat("usage_usec 5\nuser_usec 3\nsystem_usec 2\n"), None);
    }

    #[test]
    fn counts_that_were_begun_anew_tell_nothing() {
        let at = |periods, throttled| Throttled { periods, throttled, time: Nanos(throttled) };
        assert_eq!(at(9, 5).since(at(4, 2)), Some(at(5, 3)));
        assert_eq!(at(4, 2).since(at(9, 5)), None);
    }

    #[test]
    fn garbage_is_nothing() {
        for text in
            ["", "max", "\0", "x", "0 0", "2000 0", "-5 100", "99999999999999999999 1", "18446744073709551615 1"]
        {
            assert_eq!(CpuQuota::of_cpu_max(text), None, "{text:?}");
            assert_eq!((CpuQuota::of_cfs(text, "100000"), CpuQuota::of_cfs("2000", text)), (None, None), "{text:?}");
            assert_eq!(
                (Throttled::of_cpu_stat(text), used_of_cpu_stat(text), used_of_cpuacct(text)),
                (None, None, None)
            );
        }
        assert_eq!(CpuQuota::of_cpu_max("2000"), None);
        assert_eq!(Throttled::of_cpu_stat("nr_periods 1\nnr_throttled x\nthrottled_usec 1\n"), None);
        assert_eq!(Throttled::of_cpu_stat("nr_periods 1\nnr_throttled 1\nthrottled_usec 18446744073709551615\n"), None);
    }
}
