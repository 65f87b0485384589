//! Numbers with the error that they have because they were sampled.
//!
//! Does: estimate shares and times, and tell a change from noise. Does not: count.
//!
//! Samples are taken at random moments, whatever the program does at them. With `a` the weight of a function at a tick and `n` that of
//! all, the variance of the sum Σa is Σa² (a compound Poisson process), and that of the share p = Σa / Σn is Σ(a - p n)² / (Σn)² (a
//! ratio of two such sums, to first order: Cochran, Sampling Techniques, 1977, chapter 6). For one thread and equal weights these are
//! Poisson's √k and the binomial √(p (1 - p) / n). What is counted by ticks holds for threads that are sampled together, too.

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Shares of the time, from 0 to 1: for recordings of whatever length.
    Share,
    /// Seconds of thread time: for recordings of the same work.
    Seconds,
}

impl Unit {
    /// What is compared, in words.
    pub fn description(self) -> &'static str {
        match self {
            Unit::Share => "share of the time",
            Unit::Seconds => "seconds of thread time",
        }
    }

    /// A value: `12.5 %`, `1.25 s`.
    pub fn value(self, value: f64) -> String {
        match self {
            Unit::Share => format!("{:.1} %", 100.0 * value),
            Unit::Seconds => format!("{value:.2} s"),
        }
    }
}

/// A number, and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// The standard deviation that it would have if the same run were sampled again and again.
    pub error: f64,
}

/// What a number was and is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// What it was.
    pub before: Estimate,
    /// What it is.
    pub after: Estimate,
}

/// Of a normal distribution 95 % is within so many standard deviations.
const NORMAL_95: f64 = 1.96;

/// Changes within so many standard errors are not told from noise: of thousands of functions that have not changed, few are beyond.
const NOISE: f64 = 3.5;

impl Change {
    /// How much more it is.
    pub fn difference(&self) -> f64 {
        self.after.value - self.before.value
    }

    /// The standard error of that.
    pub fn error(&self) -> f64 {
        self.before.error.hypot(self.after.error)
    }

    /// It, and what sampling adds or takes away in 95 of 100 cases: `+3.2 ±0.8 %`.
    pub fn in_words(&self, unit: Unit) -> String {
        let (difference, error) = (self.difference(), NORMAL_95 * self.error());
        match unit {
            Unit::Share => format!("{:+.1} ±{:.1} %", 100.0 * difference, 100.0 * error),
            Unit::Seconds => format!("{difference:+.2} ±{error:.2} s"),
        }
    }

    /// Whether sampling alone explains it.
    pub fn is_noise(&self) -> bool {
        self.difference().abs() <= NOISE * self.error()
    }
}

/// What a function has been counted with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    weight: f64,
    /// The sum of the squares of the ticks' weights.
    squares: f64,
    /// The sum of the products with the weights of all that was seen at the ticks.
    products: f64,
}

impl Count {
    /// Adds what it had at one tick, where all together had `all`.
    pub fn add(&mut self, weight: f64, all: f64) {
        self.weight += weight;
        self.squares += weight * weight;
        self.products += weight * all;
    }
}

/// What all functions together have been counted with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Whole {
    weight: f64,
    squares: f64,
    /// How many ticks had samples.
    pub ticks: u64,
    /// The time that a weight of 1 stands for.
    seconds_per_weight: f64,
}

impl Whole {
    /// Nothing yet.
    pub fn new(seconds_per_weight: f64) -> Whole {
        Whole { seconds_per_weight, ..Whole::default() }
    }

    /// Adds a tick, or time of which there is no sample.
    pub fn add(&mut self, weight: f64, is_sampled: bool) {
        self.weight += weight;
        self.squares += weight * weight;
        self.ticks += u64::from(is_sampled);
    }

    /// What a count stands for. An error is never less than that of one tick more or less: what was never seen may be rare.
    pub fn estimate(&self, count: &Count, unit: Unit) -> Estimate {
        let ticks = self.ticks.max(1) as f64;
        match unit {
            Unit::Share => {
                let all = self.weight.max(1.0);
                let share = count.weight / all;
                let squares = count.squares - 2.0 * share * count.products + share * share * self.squares;
                Estimate { value: share, error: (squares.max(0.0).sqrt() / all).max(1.0 / ticks) }
            }
            Unit::Seconds => {
                let one = self.weight / ticks;
                let seconds = |weight: f64| weight * self.seconds_per_weight;
                Estimate { value: seconds(count.weight), error: seconds(count.squares.sqrt().max(one)) }
            }
        }
    }
}
