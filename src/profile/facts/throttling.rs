//! How often the kernel stopped the target because its control group had used up its CPU quota.
//!
//! Does: hold what was counted, and word it. Does not: read it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wording::{count, cpus, plural, seconds};
use crate::target::cpu_quota::{CpuQuota, Throttled};

/// A quota by which the target was throttled while it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottlingFacts {
    /// The quota, of the target's control group or of one around it.
    pub quota: CpuQuota,
    /// How often.
    #[serde(flatten)]
    pub throttled: Throttled,
}

impl fmt::Display for ThrottlingFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Throttled { periods, throttled, time } = self.throttled;
        write!(
            f,
            "the CPU quota of the target's cgroup ({}) stopped it in {} of {}, for {} summed over CPUs",
            cpus(self.quota),
            count(throttled),
            plural(periods, "period", "periods"),
            seconds(Duration::from_nanos(time.0)),
        )
    }
}
