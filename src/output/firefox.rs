//! A processed profile of the Firefox Profiler (<https://profiler.firefox.com>).
//!
//! Does: give its library the threads, their samples over time, a category for each kind of code, and what the threads did as
//! markers. Does not: know the file's format; `fxprof-processed-profile` does.

use std::io::{self, Write};
use std::time::SystemTime;

use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CpuDelta, Frame as Interned, FrameFlags, FrameInfo, MarkerFieldFlags,
    MarkerFieldFormat, MarkerLocations, MarkerTiming, ProcessHandle, Profile, ReferenceTimestamp, SamplingInterval,
    StackHandle, StaticSchemaMarker, StaticSchemaMarkerField, StringHandle, ThreadHandle, Timestamp, WeightType,
};
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::SampledProfile;
use super::label::{LabelOptions, name_and_place};
use super::labelled::NO_FRAMES;
use crate::profile::clean::one_line;
use crate::profile::frame::{Frame, FrameKind};
use crate::profile::packed_samples::PackedSamples;
use crate::profile::samples::Weights;
use crate::profile::timeline::with_ends;
use crate::sampler::run_state::RunState;

/// How the document begins, by which it can be told to be fpprof's.
pub(super) const BEGINNING: &str = "{\"fpprof\":[\"command: ";

/// The profile, with what fpprof itself has to say in front: readers pass over what they do not know.
#[derive(Serialize)]
struct Document<'a> {
    fpprof: Vec<String>,
    #[serde(flatten)]
    profile: &'a Profile,
}

/// Writes the document. Without samples it has one thread, and the name of its process says why.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(sampled: SampledProfile<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    let SampledProfile { timeline, facts, .. } = sampled;
    let started = ReferenceTimestamp::from(facts.started.unwrap_or(SystemTime::UNIX_EPOCH));
    let mut profile = Profile::new(&facts.title(), started, SamplingInterval::from_nanos(facts.period()));
    // All names are there: nothing is to be looked up.
    profile.set_symbolicated(true);
    profile.set_os_name("Linux");
    let pid = facts.pid.0.unsigned_abs();
    let is_empty = timeline.is_empty();
    let name = match is_empty {
        true => format!("{} [no samples: {}]", facts.title(), facts.why_empty()),
        // The title of several is not that of one of them.
        false => timeline.process_with(facts.pid).map_or_else(|| facts.title(), |p| one_line(&p.name()).into_owned()),
    };
    let start = Timestamp::from_nanos_since_reference(0);
    let of_all = profile.add_process(&name, pid, start);
    let mut processes: FxHashMap<u32, ProcessHandle> = FxHashMap::default();
    let threads = Threads { frames: frames(sampled, options, &mut profile), sampled };
    for (thread, samples) in timeline.by_thread() {
        let name = thread.name.as_deref().map_or("unnamed".into(), one_line);
        let of_several = timeline.process_of(thread);
        let process = match of_several {
            // The first one is there, by the recording's title.
            Some(process) if !process.is_first_with(facts.pid) => {
                *processes.entry(thread.process).or_insert_with(|| {
                    let pid = process.pid.map_or(0, |pid| pid.0.unsigned_abs());
                    profile.add_process(&one_line(&process.name()), pid, start)
                })
            }
            _ => of_all,
        };
        let is_main = thread.tid == of_several.and_then(|process| process.pid).unwrap_or(facts.pid).0;
        let handle = threads.add(&mut profile, process, (thread.tid, is_main), &name);
        threads.add_samples(&mut profile, handle, &samples);
        threads.add_states(&mut profile, handle, &samples);
    }
    if is_empty {
        // It is shown by the name of its process.
        threads.add(&mut profile, of_all, (facts.pid.0, true), "");
    }
    serde_json::to_writer(&mut *out, &Document { fpprof: facts.summary_lines(), profile: &profile })?;
    writeln!(out)?;
    out.flush()
}

/// The frames of a profile, by index, and what stands for a stack without any.
struct Frames {
    frames: Vec<FrameInfo>,
    none: FrameInfo,
}

fn frames(sampled: SampledProfile<'_>, options: &LabelOptions, profile: &mut Profile) -> Frames {
    let categories: FxHashMap<FrameKind, CategoryHandle> =
        FrameKind::ALL.into_iter().map(|kind| (kind, profile.add_category(kind.description(), color(kind)))).collect();
    let mut info = |text: &str, kind: FrameKind| {
        let category = categories.get(&kind).copied().unwrap_or(CategoryHandle::OTHER);
        let frame = Interned::Label(profile.intern_string(text));
        FrameInfo { frame, category_pair: category.into(), flags: FrameFlags::empty() }
    };
    let label = |frame: &Frame| match name_and_place(frame, options) {
        (name, Some(place)) => format!("{name} ({place})"),
        (name, None) => name,
    };
    let frames = sampled.stacks.frames().iter().map(|frame| info(&label(frame), frame.kind)).collect();
    Frames { frames, none: info(NO_FRAMES, FrameKind::Gap) }
}

/// Its own colours are not to be had: those of the Firefox Profiler that are nearest.
fn color(kind: FrameKind) -> CategoryColor {
    match kind {
        FrameKind::UserCode => CategoryColor::Orange,
        FrameKind::StandardLibrary => CategoryColor::Blue,
        FrameKind::InstalledPackage => CategoryColor::Green,
        FrameKind::NativeExtension => CategoryColor::Purple,
        FrameKind::Interpreter => CategoryColor::Gray,
        FrameKind::System => CategoryColor::DarkGray,
        FrameKind::Jit => CategoryColor::Yellow,
        FrameKind::Process | FrameKind::Thread => CategoryColor::Transparent,
        FrameKind::RunState => CategoryColor::LightGreen,
        FrameKind::Gap => CategoryColor::Red,
    }
}

/// What is needed to add threads.
struct Threads<'a> {
    frames: Frames,
    sampled: SampledProfile<'a>,
}

impl Threads<'_> {
    fn add(
        &self,
        profile: &mut Profile,
        process: ProcessHandle,
        (tid, is_main): (i32, bool),
        name: &str,
    ) -> ThreadHandle {
        let start = Timestamp::from_nanos_since_reference(0);
        // The main thread is shown by the name of its process.
        let thread = profile.add_thread(process, tid.unsigned_abs(), start, is_main);
        profile.set_thread_name(thread, name);
        thread
    }

    fn add_samples(&self, profile: &mut Profile, thread: ThreadHandle, samples: &PackedSamples) {
        let SampledProfile { timeline, facts, .. } = self.sampled;
        let mut stacks: FxHashMap<u32, Option<StackHandle>> = FxHashMap::default();
        let mut milliseconds = Milliseconds::default();
        if facts.weights == Weights::Time {
            profile.set_thread_samples_weight_type(thread, WeightType::TracingMs);
        }
        for sample in samples {
            let stack = *stacks.entry(sample.stack).or_insert_with(|| self.stack(profile, thread, sample.stack));
            let time = sample.weight.saturating_mul(facts.nanos_per_weight());
            let cpu = CpuDelta::from_nanos(if timeline.is_on_cpu(&sample) { time } else { 0 });
            let weight = i32::try_from(match facts.weights {
                Weights::Ticks => sample.ticks,
                // Whole ones are all that the format has: what a sample has too little, the next has more.
                Weights::Time => milliseconds.of_next(sample.weight),
            })
            .unwrap_or(i32::MAX);
            profile.add_sample(thread, Timestamp::from_nanos_since_reference(sample.time), stack, cpu, weight);
        }
    }

    fn stack(&self, profile: &mut Profile, thread: ThreadHandle, node: u32) -> Option<StackHandle> {
        let path = self.sampled.stacks.path(node as usize);
        let none = path.is_empty().then(|| self.frames.none.clone());
        let frames = path.iter().filter_map(|frame| self.frames.frames.get(frame.index()).cloned());
        profile.intern_stack_frames(thread, frames.chain(none))
    }

    /// A marker for as long as a thread was seen in one state.
    fn add_states(&self, profile: &mut Profile, thread: ThreadHandle, samples: &PackedSamples) {
        let SampledProfile { facts, .. } = self.sampled;
        let mut open: Option<(u32, u64, u64)> = None;
        for (sample, end) in with_ends(samples, facts.period()) {
            open = match open {
                Some((state, start, last)) if state == sample.state && last == sample.time => Some((state, start, end)),
                Some(done) => {
                    self.add_state(profile, thread, done);
                    Some((sample.state, sample.time, end))
                }
                None => Some((sample.state, sample.time, end)),
            };
        }
        if let Some(done) = open {
            self.add_state(profile, thread, done);
        }
    }

    fn add_state(&self, profile: &mut Profile, thread: ThreadHandle, (state, start, end): (u32, u64, u64)) {
        let state = self.sampled.timeline.states().get(state as usize).unwrap_or(&RunState::Unknown);
        let state = profile.intern_string(&one_line(&state.to_string()));
        let [start, end] = [start, end].map(Timestamp::from_nanos_since_reference);
        profile.add_marker(thread, MarkerTiming::Interval(start, end), StateMarker { state });
    }
}

/// Microseconds, one number after the other, as whole milliseconds whose sums are right.
#[derive(Default)]
struct Milliseconds {
    rest: u64,
}

impl Milliseconds {
    fn of_next(&mut self, micros: u64) -> u64 {
        let all = self.rest.saturating_add(micros);
        self.rest = all % 1_000;
        all / 1_000
    }
}

/// What a thread did for a while.
struct StateMarker {
    state: StringHandle,
}

impl StaticSchemaMarker for StateMarker {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "ThreadState";
    const LOCATIONS: MarkerLocations =
        MarkerLocations::MARKER_CHART.union(MarkerLocations::MARKER_TABLE).union(MarkerLocations::TIMELINE_OVERVIEW);
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.state}");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.data.state}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[StaticSchemaMarkerField {
        key: "state",
        label: "What the thread did",
        format: MarkerFieldFormat::String,
        flags: MarkerFieldFlags::SEARCHABLE,
    }];

    fn name(&self, profile: &mut Profile) -> StringHandle {
        profile.intern_string("state")
    }

    fn category(&self, _: &mut Profile) -> CategoryHandle {
        CategoryHandle::OTHER
    }

    fn string_field_value(&self, _: u32) -> StringHandle {
        self.state
    }

    fn number_field_value(&self, _: u32) -> f64 {
        // The schema has no number.
        0.0
    }
}
