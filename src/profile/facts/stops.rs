//! What the stops of a recording cost the target.
//!
//! Does: hold what was counted, and word it. Does not: stop or count.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::wording::{microseconds, plural};
use crate::types::Nanos;

/// Why blocked threads are stopped to be read.
pub const WHY_SLEEPERS: &str = "without CAP_DAC_READ_SEARCH their own user alone may read where they wait";

/// What the stops of a recording cost the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopFacts {
    /// How long a thread stood still for a sample at most, the median.
    pub median: Nanos,
    /// The same, the 99th percentile.
    pub p99: Nanos,
    /// System calls that may have ended early because of a stop.
    pub disturbed_calls: u64,
    /// Stops of blocked threads, which fpprof had to stop because it may not read where they wait.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub of_sleepers: u64,
    /// How long threads took to come to their stops; absent when it was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<ArrivalFacts>,
}

/// How long threads took to come to their stops after they were asked, their waits for a CPU included: nothing is taken from them until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalFacts {
    /// The median.
    pub median: Nanos,
    /// The 99th percentile.
    pub p99: Nanos,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl fmt::Display for StopFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, p99) = (microseconds(self.median), microseconds(self.p99));
        write!(f, "{median} a sample (median), {p99} (99th percentile), ")?;
        match self.disturbed_calls {
            0 => f.write_str("no system call disturbed")?,
            calls => write!(f, "{} disturbed", plural(calls, "system call", "system calls"))?,
        }
        if let Some(ArrivalFacts { median, p99 }) = self.arrivals {
            let (median, p99) = (microseconds(median), microseconds(p99));
            write!(f, "; stops came after {median} (median), {p99} (99th percentile)")?;
        }
        match self.of_sleepers {
            0 => Ok(()),
            stops => write!(f, "; {} of blocked threads, for {WHY_SLEEPERS}", plural(stops, "stop", "stops")),
        }
    }
}
