//! How long tests wait, and how much they look at, on machines of very different speed.
//!
//! Does: scale both in the emulated machine of tests/arm64, where everything takes ten to forty times as long.
//! Does not: change what is demanded. A deadline says that something will never happen, and is not waited for otherwise.

use std::time::{Duration, Instant};

/// Set where processors are emulated (by `tests/arm64/guest`).
const EMULATED: &str = "FPPROF_TESTS_EMULATED";
/// How many times as long everything may take there, on a busy machine; less than the silence for which a machine is ended
/// (`tests/arm64/machine.sh`), so that a test that waits in vain says so.
const SLOWER: u32 = 8;
/// How many times as long a target works there, to be sampled as often: most of the time goes into stops.
const LONGER: u64 = 2;
/// What part of the samples there is time for there: a stop takes a thousand times as long.
const FEWER: usize = 8;

/// How often `eventually` looks when it has waited for long.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_millis(5);

fn is_emulated() -> bool {
    std::env::var_os(EMULATED).is_some()
}

/// How long to wait for what takes a moment: far more than the slowest machine needs.
pub fn patience() -> Duration {
    Duration::from_secs(60) * if is_emulated() { SLOWER } else { 1 }
}

/// Waits until something is so. It looks less often the longer that takes: who looks all the time takes the processor from what it
/// waits for.
///
/// # Panics
/// When it does not come to be so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        let waited = start.elapsed();
        assert!(waited < patience(), "never so: {what}");
        std::thread::sleep((waited / 10).min(LOOK_AT_LEAST_EVERY));
    }
}

/// How long something must go on to be sampled often enough, in milliseconds, where that many are enough on a fast machine.
#[allow(dead_code, reason = "each test program uses a part")]
pub fn milliseconds(count: u64) -> u64 {
    if is_emulated() { count * LONGER } else { count }
}

/// One value where processors are real, and another where they are emulated.
#[allow(dead_code, reason = "each test program uses a part")]
pub fn emulated_or<T>(real: T, emulated: T) -> T {
    if is_emulated() { emulated } else { real }
}

/// How many samples to take, where that many make a good test: fewer where each takes long, but no fewer than `least`.
pub fn samples(count: usize, least: usize) -> usize {
    if is_emulated() { count.div_ceil(FEWER).max(least) } else { count }
}
