//! How long this machine takes for the steps of a stop, learned from those before.
//!
//! Does: tell how long to spin for a stop, and whether to read in vain (`read.rs`: so that the caches are warm) before one is asked for or
//! while it comes. Does not: keep what a single stop took.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Spinning for a stop on another CPU is given up after twice the time that stops take there, which depends on the
/// machine (5 µs, 40 in some virtual machines), within these bounds: a thread that waits for a CPU takes much longer.
const SPIN: RangeInclusive<Duration> = Duration::from_micros(20)..=Duration::from_micros(100);

/// Where stops take so many times as long to come as reading in vain does, that is done while one comes: in the time that would be spent
/// spinning, and so for nothing. Elsewhere a stop that comes at once would have to wait for its end.
const WORTH_OVERLAPPING: u32 = 2;

/// Moving averages, of which no single time beyond the longest spin is a part.
#[derive(Debug, Default)]
pub struct Pace {
    stop: Duration,
    warm_up: Duration,
}

impl Pace {
    /// How long to spin for a stop.
    pub fn spin(&self) -> Duration {
        (self.stop * 2).clamp(*SPIN.start(), *SPIN.end())
    }

    /// Whether a stop takes so long to come that reading in vain is done by then.
    pub fn has_time_to_warm_up(&self) -> bool {
        !self.stop.is_zero() && self.stop >= self.warm_up * WORTH_OVERLAPPING
    }

    /// Takes note of how long a thread on another CPU took to stand still.
    pub fn stop_took(&mut self, time: Duration) {
        average(&mut self.stop, time);
    }

    /// Takes note of how long it took to read in vain.
    pub fn warm_up_took(&mut self, time: Duration) {
        average(&mut self.warm_up, time);
    }
}

fn average(of: &mut Duration, time: Duration) {
    *of = (*of * 7 + time.min(*SPIN.end())) / 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(stop_us: u64, warm_up_us: u64) -> Pace {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.stop_took(Duration::from_micros(stop_us));
            pace.warm_up_took(Duration::from_micros(warm_up_us));
        }
        pace
    }

    #[test]
    fn twice_the_usual_time_is_spun_within_bounds() {
        let spins = [0, 5, 40, 3_000].map(|stop| after(stop, 0).spin().as_micros());
        assert!(matches!(spins, [20, 20, 79..=80, 100]), "{spins:?}");
        assert_eq!(Pace::default().spin(), *SPIN.start());
    }

    #[test]
    fn it_is_read_in_vain_while_a_stop_comes_only_where_that_takes_longer() {
        assert!(!Pace::default().has_time_to_warm_up(), "of which nothing is known");
        assert!(after(45, 9).has_time_to_warm_up());
        assert!(!after(5, 4).has_time_to_warm_up());
        assert!(!after(45, 40).has_time_to_warm_up(), "a deep stack");
    }
}
