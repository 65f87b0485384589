//! How long tests wait, and how much they look at, on machines of very different speed.
//!
//! Does: scale both in the emulated machine of tests/arm64, where everything takes ten to forty times as long.
//! Does not: change what is demanded. A deadline says that something will never happen, and is not waited for otherwise.

use std::time::Duration;

/// Set where processors are emulated (by `tests/arm64/guest`).
const EMULATED: &str = "FPPROF_TESTS_EMULATED";
/// How many times as long everything may take there, on a busy machine.
const SLOWER: u32 = 20;
/// What part of the samples there is time for there: a stop takes a thousand times as long.
const FEWER: usize = 4;

fn is_emulated() -> bool {
    std::env::var_os(EMULATED).is_some()
}

/// How long to wait for what takes a moment: far more than the slowest machine needs.
pub fn patience() -> Duration {
    Duration::from_secs(60) * if is_emulated() { SLOWER } else { 1 }
}

/// How long something must go on to be sampled often enough, in milliseconds, where that many are enough on a fast machine.
pub fn milliseconds(count: u64) -> u64 {
    if is_emulated() { count * u64::from(SLOWER) / 2 } else { count }
}

/// How many samples to take, where that many make a good test: fewer where each takes long.
pub fn samples(count: usize) -> usize {
    if is_emulated() { count.div_ceil(FEWER) } else { count }
}
