//! speedscope's own format, a JSON document: <https://www.speedscope.app/file-format-schema.json>.
//!
//! Does: write a profile for each thread, its samples in the order of time, each as long as the ticks that it stands for.
//! Does not: write when a thread was not seen; speedscope's samples follow each other without a pause.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::SampledProfile;
use super::frame_table::{FrameTable, Row};
use super::label::{LabelOptions, label};
use crate::profile::clean::one_line;
use crate::profile::frame::Frame;
use crate::profile::timeline::{Run, runs};
use crate::types::Tid;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";
/// How the document begins, by which it can be told to be fpprof's.
pub(super) const BEGINNING: &str =
    "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"fpprof@";

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: String,
    /// Not in the schema, which allows more: the facts about the recording.
    fpprof: Vec<String>,
    shared: Shared,
    profiles: Vec<ThreadProfile<'a>>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<SharedFrame>,
}

#[derive(Serialize)]
struct SharedFrame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

/// A `SampledProfile` of the schema.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadProfile<'a> {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// The frames of each, outermost first.
    samples: Samples<'a>,
    weights: Vec<u64>,
}

/// The stacks of a thread, which are made while they are written: together they can be far more than the profile.
struct Samples<'a> {
    runs: Vec<Run>,
    stack: &'a dyn Fn(u32) -> Vec<usize>,
}

impl Serialize for Samples<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.runs.iter().map(|run| (self.stack)(run.stack)))
    }
}

/// Writes the document. speedscope refuses one without profiles: without samples it has one that says why, as the name does.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(sampled: SampledProfile<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    let SampledProfile { stacks, timeline, facts } = sampled;
    let table = FrameTable::new(stacks, &[], options);
    let unit = facts.nanos_per_weight();
    let stack = |stack| table.stack(stacks, stack);
    let mut profiles: Vec<ThreadProfile<'_>> = Vec::new();
    for (thread, samples) in timeline.by_thread() {
        let runs = runs(&samples);
        let mut name = label(&Frame::thread(Tid(thread.tid), thread.name.as_deref()), options);
        if let Some(process) = timeline.process_of(thread) {
            name = format!("{}, {name}", one_line(&process.name()));
        }
        let weights = runs.iter().map(|run| run.weight.saturating_mul(unit)).collect();
        profiles.push(thread_profile(name, Samples { runs, stack: &stack }, weights));
    }
    let mut frames: Vec<SharedFrame> = table.rows.iter().map(shared_frame).collect();
    let mut name = facts.title();
    let only_frame = frames.len();
    let only = move |_| vec![only_frame];
    if profiles.is_empty() {
        let reason = format!("[no samples: {}]", facts.why_empty());
        name = format!("{name} {reason}");
        profiles.push(thread_profile(
            reason.clone(),
            Samples { runs: vec![Run { stack: 0, weight: 0 }], stack: &only },
            vec![0],
        ));
        frames.push(SharedFrame { name: reason, file: None, line: None });
    }
    let document = Document {
        schema: SCHEMA,
        exporter: format!("fpprof@{}", one_line(&facts.fpprof_version)),
        name,
        fpprof: facts.summary_lines(),
        shared: Shared { frames },
        profiles,
    };
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)?;
    out.flush()
}

fn thread_profile(name: String, samples: Samples<'_>, weights: Vec<u64>) -> ThreadProfile<'_> {
    let end_value = weights.iter().copied().fold(0, u64::saturating_add);
    ThreadProfile { r#type: "sampled", name, unit: "nanoseconds", start_value: 0, end_value, samples, weights }
}

fn shared_frame(row: &Row) -> SharedFrame {
    let file = row.file.as_ref().or(row.module.as_ref()).map(ToString::to_string);
    SharedFrame { name: row.name.to_string(), file, line: row.line }
}
