//! What has been seen of the target, counted: by thread, state and stack, now and overall.
//!
//! Does: take in samples and names, and sum them up by function for what is to be shown. Does not: sample, name, or draw.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::summary::{Activity, FunctionRow, HotStack, Shares, Summary, ThreadRow, Wanted};
use crate::output::label::{LabelOptions, name_and_place};
use crate::profile::frame::{Frame, FrameKind};
use crate::profile::named::{NamedFrame, Role};
use crate::profile::nameless::is_nameless;
use crate::profile::packed_samples::PackedSamples;
use crate::profile::recording::{RecordedFrame, RecordedProgram, Thread};
use crate::profile::samples::TimedSample;
use crate::sampler::run_state::RunState;
use crate::symbolize::names::{NativeFrames, choose};
use crate::target::memory_budget::{Meter, Share};
use crate::types::room::Room;

/// "Now" is so many nanoseconds.
pub const NOW: u64 = 3_000_000_000;
/// Stacks in the pane of the hottest ones.
const HOT_STACKS: usize = 30;
/// So many of their innermost functions tell them apart.
const HOT_FRAMES: usize = 1_000;

/// What a stack without any function of Python is called where native ones are in their callers.
const WITHOUT_PYTHON: &str = "[threads without Python]";

/// What samples are counted by: numbers of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    program: usize,
    thread: u32,
    state: u32,
    stack: u32,
}

/// A function as it is shown.
#[derive(Debug)]
struct FunctionName {
    name: String,
    place: Option<String>,
    kind: FrameKind,
}

/// The functions of each stack that was shown before, outermost first. They depend on which native frames are shown.
#[derive(Debug, Default)]
struct Functions {
    native: Option<NativeFrames>,
    names: Vec<FunctionName>,
    numbers: FxHashMap<(String, Option<String>), u32>,
    stacks: FxHashMap<(usize, u32), Arc<[u32]>>,
    room: Option<Meter>,
}

/// A sample of the last seconds.
#[derive(Debug, Clone, Copy)]
struct Recent {
    time: u64,
    key: Key,
    ticks: u64,
    weight: u64,
}

/// What has been seen.
#[derive(Debug, Default)]
pub struct Model {
    /// The names of each program's frames, by number.
    pub names: Vec<Vec<Option<NamedFrame>>>,
    is_complete: FxHashMap<(usize, u32), bool>,
    overall: FxHashMap<Key, u64>,
    recent: VecDeque<Recent>,
    last_time: u64,
    samples: u64,
    complete: u64,
    functions: Functions,
}

impl Model {
    /// Takes in samples of a program, in the order of time.
    pub fn add(&mut self, (number, program): (usize, &RecordedProgram), samples: &PackedSamples) {
        let is_gap = |frame: &usize| matches!(program.frames.get(*frame), Some(RecordedFrame::Missing(_)));
        for TimedSample { time, thread, state, stack, ticks, weight } in samples {
            let key = Key { program: number, thread, state, stack };
            let is_new = !self.is_complete.contains_key(&(number, stack));
            if is_new {
                self.is_complete.insert((number, stack), !program.stack(stack).iter().any(is_gap));
            }
            let count = self.overall.entry(key).or_default();
            *count = count.saturating_add(weight);
            self.recent.push_back(Recent { time, key, ticks, weight });
            self.last_time = self.last_time.max(time);
            self.samples += 1;
            self.complete += u64::from(self.is_complete.get(&(number, stack)) == Some(&true));
        }
        let since = self.last_time.saturating_sub(NOW);
        while self.recent.front().is_some_and(|recent| recent.time < since) {
            self.recent.pop_front();
        }
    }

    /// Samples taken in so far: one for each thread and look.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Those of them whose stacks have no gap.
    pub fn complete(&self) -> u64 {
        self.complete
    }

    /// The ticks that the last seconds have. The samples of one have one time; those of threads that were passed over before it
    /// stand for more.
    fn recent_ticks(&self) -> u64 {
        let (mut ticks, mut last) = (0, None);
        for Recent { time, ticks: of_sample, .. } in &self.recent {
            match last {
                Some((at, least)) if at == *time => last = Some((at, std::cmp::min(least, *of_sample))),
                _ => {
                    ticks += last.map_or(0, |(_, least)| least);
                    last = Some((*time, *of_sample));
                }
            }
        }
        ticks + last.map_or(0, |(_, least)| least)
    }

    /// What a thread weighs that was there all the last seconds.
    fn weight_of_all(&self) -> f64 {
        let sum = |of: fn(&Recent) -> u64| self.recent.iter().map(of).fold(0, u64::saturating_add) as f64;
        let of_a_tick = sum(|recent| recent.weight) / sum(|recent| recent.ticks).max(1.0);
        // Before the first samples there is nothing to divide.
        self.recent_ticks().max(1) as f64 * if of_a_tick > 0.0 { of_a_tick } else { 1.0 }
    }

    /// Sums up what is wanted.
    pub fn summary(&mut self, programs: &[RecordedProgram], wanted: Wanted) -> Summary {
        self.functions.show(wanted.native);
        let mut recent: FxHashMap<Key, u64> = FxHashMap::default();
        for Recent { key, weight, .. } in &self.recent {
            *recent.entry(*key).or_default() += weight;
        }
        let is_shown = |key: &Key| {
            let thread = thread(programs, key).map(|thread| thread.tid);
            (wanted.idle || state(programs, key).is_on_cpu()) && wanted.thread.is_none_or(|tid| thread == Some(tid))
        };
        let mut rows: FxHashMap<u32, FunctionRow> = FxHashMap::default();
        let mut hot: FxHashMap<Arc<[u32]>, (u64, Key)> = FxHashMap::default();
        let (mut all, mut now) = (0_u64, 0_u64);
        for (key, weight) in self.overall.iter().filter(|(key, _)| is_shown(key)) {
            let lately = recent.get(key).copied().unwrap_or_default();
            (all, now) = (all.saturating_add(*weight), now.saturating_add(lately));
            let stack = self.functions.of(programs, &self.names, key);
            if lately > 0 {
                // Its innermost part, where it is longer than any screen is wide.
                let inner = match stack.len().checked_sub(HOT_FRAMES) {
                    None | Some(0) => Arc::clone(&stack),
                    Some(outer) => stack.get(outer..).unwrap_or_default().into(),
                };
                hot.entry(inner).or_insert((0, *key)).0 += lately;
            }
            // A function that calls itself is counted once.
            for function in stack.iter().collect::<FxHashSet<_>>() {
                let row = rows.entry(*function).or_insert_with(|| self.functions.row(*function));
                row.total.add(*weight, lately);
                if stack.last() == Some(function) {
                    row.own.add(*weight, lately);
                }
            }
        }
        let mut functions: Vec<FunctionRow> = rows.into_values().collect();
        functions.iter_mut().for_each(|row| {
            row.own.divide(all, now);
            row.total.divide(all, now);
        });
        let mut hot: Vec<_> = hot.into_iter().collect();
        hot.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
        hot.truncate(HOT_STACKS);
        let hot = hot.into_iter().map(|(inner, (weight, key))| {
            let whole = self.functions.of(programs, &self.names, &key);
            HotStack { share: weight as f64 / now.max(1) as f64, frames: self.functions.shown(&inner, &whole) }
        });
        let hot: Vec<HotStack> = hot.collect();
        let all_the_time = self.weight_of_all();
        Summary {
            functions,
            hot,
            activity: activity(programs, &recent, all_the_time),
            threads: threads(programs, &recent, all_the_time),
            ..Summary::default()
        }
    }
}

impl Functions {
    /// Forgets what was shown otherwise.
    fn show(&mut self, native: NativeFrames) {
        if self.native != Some(native) {
            *self = Functions { native: Some(native), ..Functions::default() };
        }
    }

    fn of(&mut self, programs: &[RecordedProgram], names: &[Vec<Option<NamedFrame>>], key: &Key) -> Arc<[u32]> {
        if let Some(stack) = self.stacks.get(&(key.program, key.stack)) {
            return Arc::clone(stack);
        }
        let names = names.get(key.program).map(Vec::as_slice).unwrap_or_default();
        let frames = programs.get(key.program).map(|program| program.stack(key.stack)).unwrap_or_default();
        let named: Vec<&NamedFrame> = frames.iter().filter_map(|frame| names.get(*frame)?.as_ref()).collect();
        let mut shown: Vec<Cow<'_, Frame>> = choose(&named, self.native.unwrap_or(NativeFrames::Calls))
            .into_iter()
            .map(Frame::without_address)
            .collect();
        // The time of a thread without Python is nobody else's.
        if shown.is_empty() && named.iter().any(|named| named.role != Role::Always) {
            shown.push(Cow::Owned(Frame::native(FrameKind::Thread, WITHOUT_PYTHON, None)));
        }
        shown.dedup_by(|inner, outer| is_nameless(inner) && inner == outer);
        let numbers: Vec<u32> = shown
            .iter()
            .map(|frame| {
                let options = LabelOptions { by_function: true, no_line_numbers: false };
                let (name, place) = name_and_place(frame, &options);
                let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                let number = *self.numbers.entry((name.clone(), place.clone())).or_insert(next);
                if number == next {
                    self.names.push(FunctionName { name, place, kind: frame.kind });
                }
                number
            })
            .collect();
        let stack: Arc<[u32]> = numbers.into();
        // One that is not kept is put together again for the next screen.
        let room = self.room.get_or_insert_with(|| Meter::new(Share::Making));
        if room.take(size_of_val(&*stack) as u64) {
            self.stacks.insert((key.program, key.stack), Arc::clone(&stack));
        }
        stack
    }

    fn row(&self, number: u32) -> FunctionRow {
        let name = self.names.get(number as usize);
        FunctionRow {
            name: name.map_or_else(String::new, |name| name.name.clone()),
            place: name.and_then(|name| name.place.clone()),
            kind: name.map(|name| name.kind),
            own: Shares::default(),
            total: Shares::default(),
        }
    }

    /// The functions of a stack, innermost first; of those outside of `inner` each once.
    fn shown(&self, inner: &[u32], whole: &[u32]) -> Vec<(String, Option<FrameKind>)> {
        let mut met: FxHashSet<u32> = inner.iter().copied().collect();
        let outer = whole.iter().rev().skip(inner.len()).copied().filter(|number| met.insert(*number));
        inner.iter().rev().copied().chain(outer).map(|number| self.labelled(number)).collect()
    }

    fn labelled(&self, number: u32) -> (String, Option<FrameKind>) {
        self.names.get(number as usize).map_or_else(Default::default, |name| (name.name.clone(), Some(name.kind)))
    }
}

fn state<'a>(programs: &'a [RecordedProgram], key: &Key) -> &'a RunState {
    let state = programs.get(key.program).and_then(|program| program.states.get(key.state as usize));
    state.unwrap_or(&RunState::Unknown)
}

fn thread<'a>(programs: &'a [RecordedProgram], key: &Key) -> Option<&'a Thread> {
    programs.get(key.program)?.threads.get(key.thread as usize)
}

/// How many threads did what, on average.
fn activity(programs: &[RecordedProgram], recent: &FxHashMap<Key, u64>, all_the_time: f64) -> Activity {
    let threads = |is_it: &dyn Fn(&RunState) -> bool| {
        let weights = recent.iter().filter(|(key, _)| is_it(state(programs, key))).map(|(_, weight)| weight);
        weights.sum::<u64>() as f64 / all_the_time
    };
    let is = |run_state: RunState| threads(&|state| *state == run_state);
    Activity {
        cpu: threads(&RunState::is_on_cpu),
        python: is(RunState::Python),
        native: is(RunState::Native),
        collecting: is(RunState::GarbageCollection),
        waits_for_gil: is(RunState::Gil),
    }
}

/// The threads that were seen lately, the busiest first.
fn threads(programs: &[RecordedProgram], recent: &FxHashMap<Key, u64>, all_the_time: f64) -> Vec<ThreadRow> {
    let mut rows: FxHashMap<i32, (ThreadRow, u64)> = FxHashMap::default();
    for (key, weight) in recent {
        let Some(thread) = thread(programs, key) else { continue };
        let state = state(programs, key);
        let (row, most) = rows.entry(thread.tid).or_insert_with(|| {
            let (tid, name) = (thread.tid, thread.name.clone());
            (ThreadRow { tid, name, cpu: 0.0, mostly: RunState::Unknown }, 0)
        });
        if state.is_on_cpu() {
            row.cpu += *weight as f64 / all_the_time;
        }
        if *weight > *most {
            *most = *weight;
            row.mostly = state.clone();
        }
    }
    let mut rows: Vec<ThreadRow> = rows.into_values().map(|(row, _)| row).collect();
    rows.sort_by(|a, b| b.cpu.total_cmp(&a.cpu).then(a.tid.cmp(&b.tid)));
    rows
}

#[cfg(test)]
mod tests;
