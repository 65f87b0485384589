//! The samples of a recording that can be shown, in the order of time, beside the stacks that they are counted in.
//!
//! Does: hold them, with the threads, states and modules that they refer to, and sort them by thread. Does not: hold stacks;
//! a sample has the number of a node of the [`Profile`](super::Profile) that was made with it.

use rustc_hash::FxHashMap;

use super::frame::Frame;
use super::packed_samples::{Merged, PackedSamples};
use super::paths::file_name;
use super::processes::ShownProcess;
use super::recording::{Module, Thread};
use super::samples::TimedSample;
use crate::sampler::run_state::RunState;
use crate::types::Pid;

/// A thread that has samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownThread {
    /// The number of its process.
    pub process: u32,
    /// The kernel's thread id.
    pub tid: i32,
    /// Its name.
    pub name: Option<String>,
}

/// Samples in the order of time.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    processes: Vec<ShownProcess>,
    threads: Vec<ShownThread>,
    states: Vec<RunState>,
    modules: Vec<Module>,
    /// Each in the order of time: those of one program, or of several that followed each other.
    parts: Vec<PackedSamples>,
    process_numbers: FxHashMap<ShownProcess, u32>,
    thread_numbers: FxHashMap<(u32, i32, Option<String>), u32>,
    state_numbers: FxHashMap<RunState, u32>,
}

impl Timeline {
    /// The number of a process, which is a new one if none has this id and role.
    pub fn process_number(&mut self, process: &ShownProcess) -> u32 {
        *self.process_numbers.entry(process.clone()).or_insert_with(|| push(&mut self.processes, process.clone()))
    }

    /// The number of a thread of a process, which is a new one if none has this id and name.
    pub fn thread_number(&mut self, process: u32, thread: &Thread) -> u32 {
        let Thread { tid, name } = thread;
        let key = (process, *tid, name.clone());
        let new = || ShownThread { process, tid: *tid, name: name.clone() };
        *self.thread_numbers.entry(key).or_insert_with(|| push(&mut self.threads, new()))
    }

    /// The number of a state that threads are in.
    pub fn state_number(&mut self, state: &RunState) -> u32 {
        *self.state_numbers.entry(state.clone()).or_insert_with(|| push(&mut self.states, state.clone()))
    }

    /// Adds modules that are not known yet, those that matter most first.
    pub fn add_modules<'a>(&mut self, modules: impl Iterator<Item = &'a Module>) {
        let mut known: rustc_hash::FxHashSet<(String, Option<String>)> =
            self.modules.iter().map(|module| (module.path.clone(), module.build_id.clone())).collect();
        let new = modules.filter(|module| known.insert((module.path.clone(), module.build_id.clone())));
        self.modules.extend(new.cloned());
    }

    /// Adds a sample. Those of one program come in the order of time; programs can have run side by side.
    pub fn add(&mut self, sample: TimedSample) {
        match self.parts.last_mut().filter(|part| part.end().is_none_or(|end| end <= sample.time)) {
            Some(part) => part.push(sample),
            None => self.parts.push([sample].into_iter().collect()),
        }
    }

    /// The samples with other stacks; those that have none any more are left out.
    #[must_use]
    pub fn with_stacks(mut self, stack: impl Fn(u32) -> Option<u32>) -> Timeline {
        let moved = |sample: TimedSample| Some(TimedSample { stack: stack(sample.stack)?, ..sample });
        self.parts = self.parts.iter().map(|part| part.iter().filter_map(moved).collect()).collect();
        self
    }

    /// Keeps so many samples, the first ones.
    pub fn truncate(&mut self, samples: usize) {
        let mut kept = vec![0; self.parts.len()];
        let mut merged = self.samples();
        for _ in 0..samples {
            let Some((part, _)) = merged.next_of() else { break };
            kept.get_mut(part).into_iter().for_each(|kept| *kept += 1);
        }
        let parts = self.parts.iter().zip(kept);
        self.parts = parts.map(|(part, kept)| part.iter().take(kept).collect()).collect();
    }

    /// The processes, by number.
    pub fn processes(&self) -> &[ShownProcess] {
        &self.processes
    }

    /// The process of a thread, where there are several: each is to be told by it then.
    pub fn process_of(&self, thread: &ShownThread) -> Option<&ShownProcess> {
        self.processes.get(thread.process as usize).filter(|_| self.processes.len() > 1)
    }

    /// The first process with this id, where there are several.
    pub fn process_with(&self, pid: Pid) -> Option<&ShownProcess> {
        self.processes.iter().find(|process| process.is_first_with(pid)).filter(|_| self.processes.len() > 1)
    }

    /// The threads, by number.
    pub fn threads(&self) -> &[ShownThread] {
        &self.threads
    }

    /// The states that threads are in, by number.
    pub fn states(&self) -> &[RunState] {
        &self.states
    }

    /// The files that native code is from.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// All samples, in the order of time; those of one moment in the order in which they were added.
    pub fn samples(&self) -> Merged<'_> {
        Merged::of(&self.parts)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(PackedSamples::is_empty)
    }

    /// The time of the last sample, ns since the recording began.
    pub fn end(&self) -> Option<u64> {
        self.parts.iter().filter_map(PackedSamples::end).max()
    }

    /// What its samples take, in bytes.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(PackedSamples::bytes).sum()
    }

    /// The state that a sample's thread was in.
    pub fn state(&self, sample: &TimedSample) -> &RunState {
        self.states.get(sample.state as usize).unwrap_or(&RunState::Unknown)
    }

    /// Whether a sample's thread ran, or waited for a CPU.
    pub fn is_on_cpu(&self, sample: &TimedSample) -> bool {
        self.state(sample).is_on_cpu()
    }

    /// The samples of each thread that has some, by the threads' numbers.
    pub fn by_thread(&self) -> Vec<(&ShownThread, PackedSamples)> {
        let mut samples = vec![PackedSamples::default(); self.threads.len()];
        for sample in self.samples() {
            if let Some(of_thread) = samples.get_mut(sample.thread as usize) {
                of_thread.push(sample);
            }
        }
        self.threads.iter().zip(samples).filter(|(_, samples)| !samples.is_empty()).collect()
    }

    /// For each frame the number of the module that it is from, where that can be told: frames know their module's file name
    /// only, and where modules share one, none of them is named.
    pub fn modules_of(&self, frames: &[Frame]) -> Vec<Option<usize>> {
        let mut by_name: FxHashMap<&str, Option<usize>> = FxHashMap::default();
        for (number, module) in self.modules.iter().enumerate() {
            let place = by_name.entry(file_name(&module.path)).or_insert(Some(number));
            if *place != Some(number) {
                *place = None;
            }
        }
        frames.iter().map(|frame| *by_name.get(frame.module.as_deref()?)?).collect()
    }
}

/// One stack that a thread was seen with several times, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The stack: a node's index.
    pub stack: u32,
    /// What its samples weigh.
    pub weight: u64,
}

/// The samples of one thread with those that follow each other and have one stack taken together.
pub fn runs(samples: impl IntoIterator<Item = TimedSample>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for sample in samples {
        match runs.last_mut().filter(|run| run.stack == sample.stack) {
            Some(run) => run.weight = run.weight.saturating_add(sample.weight),
            None => runs.push(Run { stack: sample.stack, weight: sample.weight }),
        }
    }
    runs
}

/// The longest pause between two samples, in ticks, over which a thread is taken to have gone on: with random intervals, one in
/// 150 is longer.
const LONGEST_PAUSE: u64 = 5;

/// The samples of one thread, each with the time until which it is shown where samples are shown over time, in
/// nanoseconds since the recording began: to the next one, unless that comes after a pause; then for one tick of `period` nanoseconds.
pub fn with_ends(
    samples: impl IntoIterator<Item = TimedSample>,
    period: u64,
) -> impl Iterator<Item = (TimedSample, u64)> {
    let mut samples = samples.into_iter().peekable();
    std::iter::from_fn(move || {
        let sample = samples.next()?;
        let goes_on =
            samples.peek().filter(|next| next.time.saturating_sub(sample.time) <= longest_pause(next, period));
        let end = goes_on.map_or(sample.time.saturating_add(period), |next| next.time);
        Some((sample, end))
    })
}

/// The longest pause before a sample, in nanoseconds, over which its thread has gone on. It stands for the ticks that were left out
/// before it, too.
pub fn longest_pause(sample: &TimedSample, period: u64) -> u64 {
    sample.ticks.saturating_mul(period).saturating_mul(LONGEST_PAUSE)
}

fn push<T>(list: &mut Vec<T>, value: T) -> u32 {
    list.push(value);
    u32::try_from(list.len() - 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::frame::FrameKind;

    fn thread(tid: i32, name: &str) -> Thread {
        Thread { tid, name: Some(name.into()) }
    }

    fn sample(thread: u32, stack: u32) -> TimedSample {
        TimedSample { time: 0, thread, state: 0, stack, ticks: 2, weight: 2 }
    }

    #[test]
    fn threads_are_told_by_id_and_name() {
        let mut timeline = Timeline::default();
        let numbers =
            [thread(1, "a"), thread(2, "a"), thread(1, "a"), thread(1, "b")].map(|t| timeline.thread_number(0, &t));
        assert_eq!(numbers, [0, 1, 0, 2]);
        for number in [1, 0, 1] {
            timeline.add(sample(number, number));
        }
        let by_thread = timeline.by_thread();
        let tids: Vec<_> = by_thread.iter().map(|(thread, samples)| (thread.tid, samples.len())).collect();
        assert_eq!(tids, [(1, 1), (2, 2)], "a thread without samples is left out");
    }

    #[test]
    fn runs_are_of_neighbours() {
        let samples = [sample(0, 1), sample(0, 1), sample(0, 2), sample(0, 1)];
        let runs = runs(samples);
        assert_eq!(runs, [Run { stack: 1, weight: 4 }, Run { stack: 2, weight: 2 }, Run { stack: 1, weight: 2 }]);
    }

    #[test]
    fn a_sample_lasts_to_the_next_one_unless_there_is_a_pause() {
        let at = |time, weight| TimedSample { time, thread: 0, state: 0, stack: 0, ticks: weight, weight };
        let samples = [at(0, 1), at(25, 1), at(80, 1), at(180, 2)];
        let ends: Vec<u64> = with_ends(samples, 10).map(|(_, end)| end).collect();
        assert_eq!(ends, [25, 35, 180, 190]);
    }

    #[test]
    fn a_module_that_cannot_be_told_from_another_is_none() {
        let module = |path: &str, id: &str| Module { path: path.into(), build_id: Some(id.into()), bias: 0 };
        let mut timeline = Timeline::default();
        timeline.add_modules([module("/a/x.so", "1"), module("/b/x.so", "2"), module("/lib/libc.so.6", "3")].iter());
        timeline.add_modules([module("/lib/libc.so.6", "3")].iter());
        let frame = |module| Frame::native(FrameKind::System, "f", module);
        let frames = [frame(Some("x.so")), frame(Some("libc.so.6")), frame(Some("y.so")), frame(None)];
        assert_eq!(timeline.modules_of(&frames), [None, Some(2), None, None]);
    }
}
