//! pprof's format: what `go tool pprof` and its kin read.
//!
//! Does: write stacks with their functions, files, lines and modules, labelled with thread and state, and their values:
//! samples, CPU time, and the time of waiting where that was sampled. Does not: write addresses; all names are there already.

mod message;

use std::io::{self, Write};
use std::time::SystemTime;

use flate2::{Compression, GzBuilder};
use prost::Message;
use rustc_hash::FxHashMap;

use super::SampledProfile;
use super::frame_table::{FrameTable, Row};
use super::label::LabelOptions;
use crate::profile::clean::one_line;
use crate::profile::facts::RecordingFacts;
use crate::profile::processes::ShownProcess;
use crate::profile::recording::Module;
use crate::profile::timeline::{ShownThread, Timeline};
use crate::sampler::mode::Mode;
use crate::sampler::run_state::RunState;
use message::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};

/// The comment in the gzip header, by which the file can be told to be fpprof's.
pub(super) const GZIP_COMMENT: &str = "profile by fpprof";

/// Writes the profile.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(sampled: SampledProfile<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    let SampledProfile { stacks, timeline, .. } = sampled;
    let table = FrameTable::new(stacks, &timeline.modules_of(stacks.frames()), options);
    let (profile, samples) = Builder::default().profile(sampled, &table);
    let header = GzBuilder::new().comment(GZIP_COMMENT);
    let mut gzip = header.write(out, Compression::default());
    // The parts of a message can follow each other in any number (protobuf.dev, "Last One Wins"): the samples, whose stacks together
    // can be far more than the profile, are made while they are written, in the place that the order of the fields gives them.
    let first = Profile { sample_type: profile.sample_type.clone(), ..Profile::default() };
    gzip.write_all(&first.encode_to_vec())?;
    for (stack, value, label) in samples {
        let location_id = table.stack(stacks, stack).into_iter().rev().map(id).collect();
        let sample = vec![Sample { location_id, value, label }];
        gzip.write_all(&Profile { sample, ..Profile::default() }.encode_to_vec())?;
    }
    let rest = Profile { sample_type: Vec::new(), ..profile };
    gzip.write_all(&rest.encode_to_vec())?;
    gzip.finish()?.flush()
}

/// The texts and functions so far, by what they are.
#[derive(Default)]
struct Builder {
    texts: Vec<String>,
    places: FxHashMap<String, i64>,
    functions: FxHashMap<Function, u64>,
}

/// What the samples of one stack are told apart by: stack, thread, state.
type Key = (u32, u32, u32);

/// The samples of one stack, thread and state: the stack, their values, and their labels.
type Counted = (u32, Vec<i64>, Vec<Label>);

impl Builder {
    /// The profile without its samples, and these, by their stacks, with their values and labels.
    fn profile(mut self, sampled: SampledProfile<'_>, table: &FrameTable) -> (Profile, Vec<Counted>) {
        let SampledProfile { timeline, facts, .. } = sampled;
        // The format wants the empty text first.
        self.text("");
        let location: Vec<Location> =
            table.rows.iter().enumerate().map(|(number, row)| self.location(number, row)).collect();
        let samples = counted(timeline, facts).into_iter().map(|((stack, thread, state), value)| {
            let thread = timeline.threads().get(thread as usize);
            let process = thread.and_then(|thread| timeline.process_of(thread));
            let labels = self.labels(process, thread, timeline.states().get(state as usize));
            (stack, value, labels)
        });
        let samples: Vec<Counted> = samples.collect();
        let mapping = timeline.modules().iter().enumerate().map(|(number, module)| self.mapping(number, module));
        let mapping: Vec<Mapping> = mapping.collect();
        let sample_type: Vec<ValueType> =
            value_types(facts.threads).iter().map(|(name, unit)| self.value_type(name, unit)).collect();
        let empty = timeline.is_empty().then(|| format!("no samples: {}", facts.why_empty()));
        let comments = facts.summary_lines().into_iter().chain(empty);
        let comment = comments.map(|line| self.text(&line)).collect();
        let mut function: Vec<Function> =
            std::mem::take(&mut self.functions).into_iter().map(|(function, id)| Function { id, ..function }).collect();
        function.sort_by_key(|function| function.id);
        let started = facts.started.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let profile = Profile {
            period_type: sample_type.last().cloned(),
            default_sample_type: sample_type.last().map_or(0, |value| value.r#type),
            sample_type,
            sample: Vec::new(),
            mapping,
            location,
            function,
            time_nanos: started.map_or(0, |since| int(since.as_nanos())),
            duration_nanos: int(facts.duration.as_nanos()),
            period: int(facts.period().into()),
            comment,
            string_table: self.texts,
        };
        (profile, samples)
    }

    /// The place of a text.
    fn text(&mut self, text: &str) -> i64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = int(self.texts.len() as u128);
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }

    fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType { r#type: self.text(name), unit: self.text(unit) }
    }

    fn location(&mut self, number: usize, row: &Row) -> Location {
        let name = self.text(&row.name);
        let filename = row.file.as_deref().map_or(0, |file| self.text(file));
        // Numbered below, so that equal functions are equal here.
        let function = Function { id: 0, name, filename, start_line: row.first_line.unwrap_or(0).into() };
        let next = id(self.functions.len());
        let function_id = *self.functions.entry(function).or_insert(next);
        Location {
            id: id(number),
            mapping_id: row.module_number.map_or(0, id),
            line: vec![Line { function_id, line: row.line.unwrap_or(0).into() }],
        }
    }

    fn mapping(&mut self, number: usize, module: &Module) -> Mapping {
        Mapping {
            id: id(number),
            filename: self.text(&one_line(&module.path)),
            build_id: module.build_id.as_deref().map_or(0, |build_id| self.text(&one_line(build_id))),
            // Without these, pprof would look for the files and name everything again.
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
        }
    }

    fn labels(
        &mut self,
        process: Option<&ShownProcess>,
        thread: Option<&ShownThread>,
        state: Option<&RunState>,
    ) -> Vec<Label> {
        let mut labels = Vec::new();
        if let Some(process) = process {
            labels.push(Label { key: self.text("process"), str: self.text(&one_line(&process.role)), num: 0 });
            if let Some(pid) = process.pid {
                labels.push(Label { key: self.text("pid"), str: 0, num: pid.0.into() });
            }
        }
        if let Some(thread) = thread {
            let name = thread.name.as_deref().map_or("unnamed".into(), one_line);
            labels.push(Label { key: self.text("thread"), str: self.text(&name), num: 0 });
            labels.push(Label { key: self.text("tid"), str: 0, num: thread.tid.into() });
        }
        if let Some(state) = state {
            labels.push(Label { key: self.text("state"), str: self.text(&one_line(&state.to_string())), num: 0 });
        }
        labels
    }
}

impl Eq for Function {}

impl std::hash::Hash for Function {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.name, self.filename, self.start_line).hash(state);
    }
}

/// What each value of a sample is, and its unit; the last one is what pprof shows unless told otherwise. Time that threads
/// waited is known only where waiting threads were sampled.
fn value_types(threads: Mode) -> &'static [(&'static str, &'static str)] {
    match threads {
        Mode::Cpu => &[("samples", "count"), ("cpu", "nanoseconds")],
        Mode::Wall => &[("samples", "count"), ("cpu", "nanoseconds"), ("wall", "nanoseconds")],
        Mode::Gil => &[("samples", "count"), ("cpu", "nanoseconds"), ("gil", "nanoseconds")],
    }
}

/// The values of each stack, thread and state, in the order in which they were first seen.
fn counted(timeline: &Timeline, facts: &RecordingFacts) -> Vec<(Key, Vec<i64>)> {
    let mut places: FxHashMap<Key, usize> = FxHashMap::default();
    let mut counted: Vec<(Key, [u64; 2], bool)> = Vec::new();
    for sample in timeline.samples() {
        let key = (sample.stack, sample.thread, sample.state);
        let place = *places.entry(key).or_insert_with(|| {
            counted.push((key, [0; 2], timeline.is_on_cpu(&sample)));
            counted.len() - 1
        });
        if let Some((_, [samples, weight], _)) = counted.get_mut(place) {
            *samples = samples.saturating_add(facts.samples_in(&sample));
            *weight = weight.saturating_add(sample.weight);
        }
    }
    let values = |(key, [samples, weight], is_on_cpu): (Key, [u64; 2], bool)| {
        let time = int(u128::from(weight) * u128::from(facts.nanos_per_weight()));
        // What was sampled because it ran has run, also where it had just begun to wait.
        let cpu = if is_on_cpu || facts.threads == Mode::Cpu { time } else { 0 };
        let values = [int(samples.into()), cpu, time];
        (key, values.into_iter().take(value_types(facts.threads).len()).collect())
    };
    counted.into_iter().map(values).collect()
}

/// Numbers that refer to something begin with 1 in this format; 0 is none.
fn id(number: usize) -> u64 {
    (number as u64).saturating_add(1)
}

fn int(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
