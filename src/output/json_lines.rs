//! A line of JSON for the recording and one for each sample, for programs (`docs/samples.schema.json`).
//!
//! Does: write each sample whole, so that every line can be read by itself. Does not: sum up.

use std::io::{self, Write};
use std::time::SystemTime;

use serde::Serialize;

use super::SampledProfile;
use super::frame_table::{FrameTable, Row};
use super::label::LabelOptions;
use crate::profile::clean::one_line;
use crate::profile::samples::{TimedSample, Weights};
use crate::sampler::run_state::RunState;
use crate::types::Nanos;

/// The schema's version.
const VERSION: u32 = 1;
/// What the first line says that the file is.
const FORMAT: &str = "fpprof-samples";
/// How the file begins, by which it can be told to be fpprof's.
pub(super) const BEGINNING: &str = "{\"format\":\"fpprof-samples\",";

#[derive(Serialize)]
struct Header {
    format: &'static str,
    version: u32,
    fpprof: String,
    title: String,
    pid: i32,
    mode: &'static str,
    /// The time that one tick stands for.
    period_ns: u64,
    /// When the recording began, since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_ns: Option<u64>,
    duration_ns: u64,
    /// The ticks of all samples that follow.
    total_weight: u64,
    /// The time of all samples that follow, where it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ns: Option<u64>,
    /// Why there are none, if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_samples: Option<&'static str>,
    facts: Vec<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    time_ns: u64,
    /// Its process, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    /// How many other processes had that id before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid_again: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<&'a str>,
    tid: i32,
    thread: Option<&'a str>,
    state: &'a str,
    weight: u64,
    /// Its share of its thread's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_ns: Option<u64>,
    /// Outermost first.
    stack: Vec<Element<'a>>,
}

#[derive(Serialize)]
struct Element<'a> {
    name: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a str>,
}

/// Writes the lines. Without samples the first one says why.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(sampled: SampledProfile<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    let SampledProfile { stacks, timeline, facts } = sampled;
    let table = FrameTable::new(stacks, &[], options);
    let started = facts.started.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let sum = |of: fn(&TimedSample) -> u64| timeline.samples().map(|sample| of(&sample)).fold(0, u64::saturating_add);
    let has_times = facts.weights == Weights::Time;
    let header = Header {
        format: FORMAT,
        version: VERSION,
        fpprof: one_line(&facts.fpprof_version).into_owned(),
        title: facts.title(),
        pid: facts.pid.0,
        mode: facts.threads.name(),
        period_ns: facts.period(),
        started_ns: started.map(|since| Nanos::from(since).0),
        duration_ns: Nanos::from(facts.duration).0,
        total_weight: sum(|sample| sample.ticks),
        total_ns: has_times.then(|| sum(|sample| sample.weight).saturating_mul(facts.nanos_per_weight())),
        no_samples: timeline.is_empty().then(|| facts.why_empty()),
        facts: facts.summary_lines(),
    };
    line(&header, out)?;
    let unknown = RunState::Unknown.to_string();
    let states: Vec<String> = timeline.states().iter().map(|state| one_line(&state.to_string()).into_owned()).collect();
    for sample in timeline.samples() {
        let Some(thread) = timeline.threads().get(sample.thread as usize) else { continue };
        let rows = table.stack(stacks, sample.stack);
        let name = thread.name.as_deref().map(one_line);
        let process = timeline.process_of(thread);
        let role = process.map(|process| one_line(&process.role));
        let sample = Line {
            time_ns: sample.time,
            pid: process.and_then(|process| Some(process.pid?.0)),
            pid_again: process.map(|process| process.again).filter(|again| *again > 0),
            process: role.as_deref(),
            tid: thread.tid,
            thread: name.as_deref(),
            state: states.get(sample.state as usize).unwrap_or(&unknown),
            weight: sample.ticks,
            weight_ns: has_times.then(|| sample.weight.saturating_mul(facts.nanos_per_weight())),
            stack: rows.into_iter().filter_map(|row| table.rows.get(row)).map(element).collect(),
        };
        line(&sample, out)?;
    }
    out.flush()
}

fn element(row: &Row) -> Element<'_> {
    Element {
        name: &row.name,
        kind: row.kind.id(),
        file: row.file.as_deref(),
        line: row.line,
        module: row.module.as_deref(),
    }
}

fn line(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
