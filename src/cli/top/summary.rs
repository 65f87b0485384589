//! What the screen shows of the target, and what is wanted of it.
//!
//! Does: hold it, and put it into an order. Does not: count or draw.

use crate::profile::frame::FrameKind;
use crate::sampler::run_state::RunState;
use crate::symbolize::names::NativeFrames;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which native frames.
    pub native: NativeFrames,
    /// Threads that wait, too.
    pub idle: bool,
    /// One thread only.
    pub thread: Option<i32>,
}

/// Shares of the samples, from 0 to 1 when they have been divided.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shares {
    /// Of the last seconds.
    pub now: f64,
    /// Of all.
    pub overall: f64,
}

impl Shares {
    /// Adds weights.
    pub fn add(&mut self, overall: u64, now: u64) {
        self.overall += overall as f64;
        self.now += now as f64;
    }

    /// Makes shares of weights.
    pub fn divide(&mut self, overall: u64, now: u64) {
        self.overall /= overall.max(1) as f64;
        self.now /= now.max(1) as f64;
    }
}

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionRow {
    /// Its name.
    pub name: String,
    /// Its file, or module.
    pub place: Option<String>,
    /// What kind of code it is.
    pub kind: Option<FrameKind>,
    /// With itself innermost.
    pub own: Shares,
    /// With itself anywhere.
    pub total: Shares,
}

/// A stack that was seen often lately.
#[derive(Debug, Clone, PartialEq)]
pub struct HotStack {
    /// Its share of the last seconds.
    pub share: f64,
    /// Its functions, innermost first.
    pub frames: Vec<(String, Option<FrameKind>)>,
}

/// A thread.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadRow {
    /// Its number.
    pub tid: i32,
    /// Its name.
    pub name: Option<String>,
    /// The share of the last seconds in which it was on a CPU.
    pub cpu: f64,
    /// What it did most of that time.
    pub mostly: RunState,
}

/// How many threads did what in the last seconds, on average.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Activity {
    /// Were on a CPU: the three that follow.
    pub cpu: f64,
    /// Ran Python.
    pub python: f64,
    /// Ran native code.
    pub native: f64,
    /// Collected garbage.
    pub collecting: f64,
    /// Waited for the GIL.
    pub waits_for_gil: f64,
}

/// Everything that is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// The functions.
    pub functions: Vec<FunctionRow>,
    /// The stacks seen most lately.
    pub hot: Vec<HotStack>,
    /// What threads did.
    pub activity: Activity,
    /// The threads.
    pub threads: Vec<ThreadRow>,
    /// Since the beginning, s.
    pub elapsed: f64,
    /// Ticks of the clock at which samples were taken.
    pub ticks: u64,
    /// Ticks that passed while an earlier one was served.
    pub late: u64,
    /// Ticks left out because samples would have cost more than is allowed.
    pub left_out: u64,
    /// How many processes are sampled now.
    pub processes: usize,
    /// Samples that are not shown, for there was no room for them in memory.
    pub without_room: u64,
    /// Stops of blocked threads, of which nothing else told where they were.
    pub sleepers_stopped: u64,
    /// Why there is no more to come.
    pub ended: Option<String>,
}

/// The column that rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// Innermost, lately.
    OwnNow,
    /// Anywhere, lately.
    TotalNow,
    /// Innermost, overall.
    OwnOverall,
    /// Anywhere, overall.
    TotalOverall,
}

impl SortBy {
    /// The next column.
    pub fn next(self) -> SortBy {
        match self {
            SortBy::OwnNow => SortBy::TotalNow,
            SortBy::TotalNow => SortBy::OwnOverall,
            SortBy::OwnOverall => SortBy::TotalOverall,
            SortBy::TotalOverall => SortBy::OwnNow,
        }
    }

    /// A row's share in it.
    pub fn of(self, row: &FunctionRow) -> f64 {
        match self {
            SortBy::OwnNow => row.own.now,
            SortBy::TotalNow => row.total.now,
            SortBy::OwnOverall => row.own.overall,
            SortBy::TotalOverall => row.total.overall,
        }
    }
}

impl Summary {
    /// The functions with `filter` in their names or places, the largest first.
    pub fn sorted(&self, by: SortBy, filter: &str) -> Vec<&FunctionRow> {
        let filter = filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&filter);
        let matches = |row: &&FunctionRow| has(&row.name) || row.place.as_deref().is_some_and(has);
        let mut rows: Vec<&FunctionRow> = self.functions.iter().filter(matches).collect();
        // What is equal stays in one order from screen to screen.
        rows.sort_by(|a, b| {
            let other =
                if by == SortBy::OwnNow || by == SortBy::TotalNow { SortBy::TotalOverall } else { SortBy::OwnNow };
            by.of(b)
                .total_cmp(&by.of(a))
                .then(other.of(b).total_cmp(&other.of(a)))
                .then_with(|| (&a.name, &a.place).cmp(&(&b.name, &b.place)))
        });
        rows
    }
}
