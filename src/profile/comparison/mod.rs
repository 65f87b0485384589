//! Two profiles compared function by function, with the error that sampling has.
//!
//! Does: count each function's samples tick by tick, so that it is known how much the counts would vary if the same run were sampled
//! again, and compare two profiles by them. Does not: know what varies from run to run of a program; only more runs tell that.

mod estimate;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Profile;
use super::frame::{Frame, FrameKind};
use super::samples::TimedSample;
use super::timeline::Timeline;
pub use estimate::{Change, Estimate, Unit};
use estimate::{Count, Whole};

/// What a function is known by in both profiles: lines move when a program is changed, and so does what is around them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionKey {
    /// Its name.
    pub name: Arc<str>,
    /// Its file, or of native code its module; absent where neither is known.
    pub place: Option<Arc<str>>,
}

impl FunctionKey {
    /// The key of a frame.
    pub fn of(frame: &Frame) -> FunctionKey {
        let file = frame.source.as_ref().map(|source| source.file.clone()).filter(|file| !file.is_empty());
        // A module's file stays what it is where debug information is there for one of the profiles only.
        // Addresses are others in another build.
        FunctionKey { name: frame.without_address().name.clone(), place: frame.module.clone().or(file) }
    }
}

/// The counts of one profile.
#[derive(Debug)]
pub struct Counts {
    functions: FxHashMap<FunctionKey, FunctionCounts>,
    whole: Whole,
}

#[derive(Debug, Clone, Default)]
struct FunctionCounts {
    kind: Option<FrameKind>,
    own: Count,
    total: Count,
}

/// What became of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionChange {
    /// The function.
    pub key: FunctionKey,
    /// What kind of code it is.
    pub kind: FrameKind,
    /// With itself innermost.
    pub own: Change,
    /// With itself anywhere.
    pub total: Change,
}

impl Counts {
    /// Counts the samples of a profile, a weight of one in which stands for so many seconds
    /// ([`RecordingFacts::seconds_per_weight`](super::facts::RecordingFacts::seconds_per_weight)). Samples of several threads at one tick are not independent: they are counted as one.
    pub fn of(stacks: &Profile, timeline: &Timeline, seconds_per_weight: f64) -> Counts {
        let mut keys: FxHashMap<FunctionKey, usize> = FxHashMap::default();
        let mut functions: Vec<FunctionCounts> = Vec::new();
        let mut by_frame: Vec<usize> = Vec::with_capacity(stacks.frames().len());
        for frame in stacks.frames() {
            let number = *keys.entry(FunctionKey::of(frame)).or_insert(functions.len());
            if number == functions.len() {
                functions.push(FunctionCounts { kind: Some(frame.kind), ..FunctionCounts::default() });
            }
            by_frame.push(number);
        }
        let mut whole = Whole::new(seconds_per_weight);
        let mut tick = Tick::default();
        // A stack is seen many times.
        let mut seen: FxHashMap<u32, OfStack> = FxHashMap::default();
        let mut samples = timeline.samples().peekable();
        while let Some(sample) = samples.next() {
            let of_stack = seen.entry(sample.stack).or_insert_with_key(|stack| OfStack::new(stacks, *stack, &by_frame));
            tick.add(&sample, of_stack);
            if samples.peek().is_none_or(|next| next.time != sample.time) {
                tick.count(&mut functions, &mut whole);
            }
        }
        let functions = keys.into_iter().filter_map(|(key, number)| Some((key, functions.get(number)?.clone())));
        Counts { functions: functions.collect(), whole }
    }

    /// How many samples: the ticks with at least one stack.
    pub fn ticks(&self) -> u64 {
        self.whole.ticks
    }
}

/// The functions in a stack.
#[derive(Debug)]
struct OfStack {
    innermost: Option<usize>,
    /// Each of them once, also one that calls itself.
    all: Vec<usize>,
}

impl OfStack {
    fn new(stacks: &Profile, stack: u32, by_frame: &[usize]) -> OfStack {
        let path = stacks.path(stack as usize);
        let mut all: Vec<usize> = path.iter().filter_map(|frame| by_frame.get(frame.index()).copied()).collect();
        let innermost = all.last().copied();
        all.sort_unstable();
        all.dedup();
        OfStack { innermost, all }
    }
}

/// What was seen at one moment.
#[derive(Debug, Default)]
struct Tick {
    /// Of each function that was seen its own weight, and its total one.
    seen: BTreeMap<usize, (u64, u64)>,
    all: u64,
    /// Whether anything of it was sampled, and not only known of.
    is_sampled: bool,
}

impl Tick {
    fn add(&mut self, sample: &TimedSample, functions: &OfStack) {
        let weight = sample.weight;
        self.is_sampled |= sample.was_taken();
        self.all = self.all.saturating_add(weight);
        if let Some(innermost) = functions.innermost {
            let (own, _) = self.seen.entry(innermost).or_default();
            *own = own.saturating_add(weight);
        }
        for function in &functions.all {
            let (_, total) = self.seen.entry(*function).or_default();
            *total = total.saturating_add(weight);
        }
    }

    /// Counts the tick, and empties it for the next one.
    fn count(&mut self, functions: &mut [FunctionCounts], whole: &mut Whole) {
        let all = self.all as f64;
        for (function, (own, total)) in std::mem::take(&mut self.seen) {
            if let Some(counts) = functions.get_mut(function) {
                counts.own.add(own as f64, all);
                counts.total.add(total as f64, all);
            }
        }
        whole.add(all, self.is_sampled);
        (self.all, self.is_sampled) = (0, false);
    }
}

/// What became of each function that is in one of two profiles, those first whose own part has changed most.
pub fn compare(before: &Counts, after: &Counts, unit: Unit) -> Vec<FunctionChange> {
    let keys = before.functions.keys().chain(after.functions.keys().filter(|key| !before.functions.contains_key(*key)));
    let none = FunctionCounts::default();
    let change = |key: &FunctionKey| {
        let [old, new] = [before, after].map(|counts| counts.functions.get(key).unwrap_or(&none));
        let of = |old: &Count, new: &Count| Change {
            before: before.whole.estimate(old, unit),
            after: after.whole.estimate(new, unit),
        };
        Some(FunctionChange {
            key: key.clone(),
            kind: new.kind.or(old.kind)?,
            own: of(&old.own, &new.own),
            total: of(&old.total, &new.total),
        })
    };
    let mut changes: Vec<FunctionChange> = keys.filter_map(change).collect();
    let size = |change: &FunctionChange| (change.own.difference().abs(), change.total.difference().abs());
    changes.sort_by(|a, b| {
        let ((own_a, total_a), (own_b, total_b)) = (size(a), size(b));
        own_b.total_cmp(&own_a).then(total_b.total_cmp(&total_a)).then_with(|| a.key.cmp(&b.key))
    });
    changes
}

#[cfg(test)]
mod tests;
