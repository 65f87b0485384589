//! What of a recording was left out because it would have cost too much of the target's time or of fpprof's own.
//!
//! Does: word it. Does not: decide it.

use super::wording::{cpus, plural};
use super::{ExceededLimit, RecordingFacts};

impl RecordingFacts {
    pub(super) fn left_out_line(&self) -> String {
        let cost = match self.limit {
            Some(ExceededLimit::TargetTime) => {
                "stops would have taken more of the target's time than --max-overhead allows"
            }
            Some(ExceededLimit::OwnCpu) => "fpprof would have used more CPU time than --max-overhead allows",
            Some(ExceededLimit::OwnQuota(quota)) => {
                &format!("they might have used up the CPU quota of fpprof's own cgroup ({})", cpus(quota))
            }
            None => "they would have cost more than --max-overhead allows",
        };
        let left_out = plural(self.samples_left_out, "sample", "samples");
        format!("left out: {left_out}: {cost}; a sample stands for those left out before it")
    }
}
