//! Idle back-off: how often threads that stay blocked are looked at.
//!
//! Does: where there are many of them, have each tick look at some, in turn, so that cost follows what threads do and not
//! how many there are. A look tells of all ticks since the one before: a thread that has not run since then was blocked
//! there at each of them. One that has run is sampled as it is now, for all these ticks: over many wake-ups each state has
//! its share, because it is not the thread that chooses at which tick it is looked at.
//! Does not: look, or pass over a thread of which it is not known that it stays blocked.

/// A thread is settled when so many looks in a row have found it blocked where it was.
const SETTLED_AFTER: u32 = 8;
/// At most so many settled threads are looked at in a tick (some 0.1 ms), as long as that does not make a round too long.
const LOOKS_A_TICK: u64 = 64;
/// The most ticks in a round: what wakes is noticed after half of them, on average.
const LONGEST_ROUND: u64 = 64;

/// The ticks in which each settled thread is looked at once.
#[derive(Debug, Default)]
pub struct BackoffRound {
    /// In ticks.
    length: u64,
    /// Threads that this tick has found settled.
    settled: u64,
}

impl BackoffRound {
    /// A tick begins: the threads that were settled at the last one decide.
    pub fn begin_tick(&mut self) {
        self.length = self.settled.div_ceil(LOOKS_A_TICK).clamp(1, LONGEST_ROUND);
        self.settled = 0;
    }
}

/// When a thread is looked at next.
#[derive(Debug, Default)]
pub struct IdleBackoff {
    /// Looks in a row that found it blocked where it was.
    unchanged: u32,
    /// Whether it has its place in the round.
    placed: bool,
    /// Ticks until the next look.
    left: u64,
    /// The weight of the ticks since the last look.
    passed_over: u64,
}

impl IdleBackoff {
    /// Whether a tick of this weight passes the thread over.
    pub fn passes_over(&mut self, weight: u64, round: &mut BackoffRound) -> bool {
        round.settled += u64::from(self.is_settled());
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.passed_over += weight;
        true
    }

    /// A look of this weight has told nothing: it is left to the next one.
    pub fn leave_to_next(&mut self, weight: u64) {
        self.passed_over += weight;
    }

    /// The weight of the ticks that have passed the thread over since it was asked for last.
    pub fn take_passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
    }

    /// A look has found the thread blocked where it was. `number` is any that differs between threads: it places the thread in
    /// the round.
    pub fn found_unchanged(&mut self, round: &BackoffRound, number: u64) {
        self.unchanged = self.unchanged.saturating_add(1);
        if self.is_settled() {
            // Threads that settle at the same tick must not be looked at at the same tick.
            let length = round.length.max(1);
            self.left = if self.placed { length - 1 } else { number % length };
            self.placed = length > 1;
        }
    }

    /// A look has found that the thread has run.
    pub fn found_running(&mut self) {
        *self = IdleBackoff { passed_over: self.passed_over, ..IdleBackoff::default() };
    }

    fn is_settled(&self) -> bool {
        self.unchanged >= SETTLED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads of which each runs at some ticks, and the weight that each was seen with, running and blocked.
    struct Simulation {
        round: BackoffRound,
        backoffs: Vec<IdleBackoff>,
        ran_since_look: Vec<bool>,
        seen: Vec<[u64; 2]>,
        looks: Vec<u64>,
    }

    impl Simulation {
        fn new(threads: usize) -> Simulation {
            Simulation {
                round: BackoffRound::default(),
                backoffs: (0..threads).map(|_| IdleBackoff::default()).collect(),
                ran_since_look: vec![true; threads],
                seen: vec![[0; 2]; threads],
                looks: Vec::new(),
            }
        }

        fn tick(&mut self, runs: impl Fn(usize) -> bool) {
            self.round.begin_tick();
            let mut looks = 0;
            for (thread, backoff) in self.backoffs.iter_mut().enumerate() {
                self.ran_since_look[thread] |= runs(thread);
                if backoff.passes_over(1, &mut self.round) {
                    continue;
                }
                looks += 1;
                if std::mem::take(&mut self.ran_since_look[thread]) {
                    backoff.found_running();
                } else {
                    backoff.found_unchanged(&self.round, thread as u64);
                }
                self.seen[thread][usize::from(!runs(thread))] += 1 + backoff.take_passed_over();
            }
            self.looks.push(looks);
        }
    }

    #[test]
    fn some_dozens_of_threads_are_looked_at_at_every_tick() {
        let mut run = Simulation::new(64);
        (0..100).for_each(|_| run.tick(|_| false));
        assert!(run.looks.iter().all(|looks| *looks == 64));
    }

    #[test]
    fn of_a_thousand_idle_threads_a_tick_looks_at_some_in_turn_and_every_tick_counts() {
        let mut run = Simulation::new(1000);
        (0..1000).for_each(|_| run.tick(|thread| thread == 3));
        assert!(run.looks.iter().skip(11).all(|looks| (50..=70).contains(looks)), "{:?}", run.looks);
        assert_eq!(run.seen[3], [1000, 0], "a thread that runs is looked at each time");
        assert!(run.seen.iter().all(|[running, blocked]| (985..=1000).contains(&(running + blocked))));
    }

    #[test]
    fn a_round_has_an_end_whatever_the_number_of_threads() {
        let mut run = Simulation::new(20_000);
        (0..200).for_each(|_| run.tick(|_| false));
        assert_eq!(run.round.length, LONGEST_ROUND);
        assert!(run.seen.iter().all(|[_, blocked]| *blocked >= 200 - LONGEST_ROUND));
    }

    #[test]
    fn threads_that_wake_now_and_then_run_for_as_long_as_they_do() {
        // Each runs for a tick in fifty, at ticks of its own.
        let mut run = Simulation::new(1000);
        for tick in 0..3000_usize {
            run.tick(|thread| (tick + thread * 7).is_multiple_of(50));
        }
        let [running, blocked] = [0, 1].map(|state| run.seen.iter().map(|seen| seen[state]).sum::<u64>() as f64);
        let share = running / (running + blocked);
        assert!((share - 0.02).abs() < 0.002, "they run for 2 % of the time, and were seen running {share}");
        let looks = run.looks.iter().sum::<u64>();
        assert!(looks < 1000 * 3000 / 2, "{looks}");
    }
}
