//! What the page shows, as JSON.
//!
//! Does: gather it, with a bound on what is drawn. Does not: write the page.

use std::borrow::Cow;

use serde::Serialize;

use super::functions::{FunctionRow, functions, without_python};
use super::heat::{FileRow, files, opens};
use super::kinds::kind_number;
use super::threads::{ThreadRow, threads};
use crate::output::SampledProfile;
use crate::output::colors::{Rgb, kind_color};
use crate::output::label::LabelOptions;
use crate::output::labelled::LabelledStacks;
use crate::output::short_name::short_label;
use crate::profile::clean::one_line;
use crate::profile::facts::processes::{ProcessFacts, ProcessesFacts};
use crate::profile::frame::FrameKind;
use crate::profile::nameless::without_addresses;
use crate::profile::samples::Weights;
use crate::profile::sources::Sources;
use crate::sampler::run_state::RunState;

/// The most frames that are in the page, the widest ones; it draws those that are wide enough to be seen.
const MAX_FRAMES: usize = 50_000;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    title: String,
    subtitle: String,
    facts: Vec<String>,
    /// Why there is nothing to see.
    empty: Option<&'static str>,
    total: u64,
    seconds_per_weight: f64,
    /// What shares are of, where weights are times; of the samples where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    times_of: Option<&'static str>,
    /// How many samples of equal weight tell as much of shares, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_samples: Option<f64>,
    kinds: Vec<KindRow>,
    /// Of each label its text, its kind and, where it has one, the shorter text for a box.
    labels: Vec<(String, usize, Option<String>)>,
    /// Of each frame, callers before what they call: its caller (the root's own number is 0), its label, its own samples.
    nodes: Vec<(usize, usize, u64)>,
    /// Frames that are not in `nodes`, and how many samples each of them has at most.
    left_out: (usize, u64),
    functions: Vec<FunctionRow>,
    /// Samples of stacks without any function of Python.
    without_python: u64,
    files: Vec<FileRow>,
    /// The number of the file that is shown first.
    opens: usize,
    /// Where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<Vec<ProcessRow>>,
    states: Vec<StateRow>,
    /// Into how many parts the time is divided.
    bins: usize,
    duration: f64,
    threads: Vec<ThreadRow>,
}

/// A process: its name as in stacks, its CPU time in seconds, and its stacks.
#[derive(Debug, Serialize)]
struct ProcessRow {
    name: String,
    cpu: f64,
    stacks: u64,
}

#[derive(Debug, Serialize)]
struct KindRow {
    id: &'static str,
    name: &'static str,
    color: String,
}

#[derive(Debug, Serialize)]
struct StateRow {
    name: String,
    on_cpu: bool,
}

impl Data {
    pub(super) fn new(sampled: SampledProfile<'_>, sources: &Sources, options: &LabelOptions) -> Data {
        let SampledProfile { stacks, timeline, facts } = sampled;
        let labelled = LabelledStacks::new(&without_addresses(stacks), options);
        let narrow = labelled.narrowest_of(MAX_FRAMES);
        let labels = labelled.frames().iter().map(|frame| {
            let short = match short_label(&frame.text) {
                Cow::Owned(short) if !frame.kind.is_python() => Some(short),
                Cow::Owned(_) | Cow::Borrowed(_) => None,
            };
            (frame.text.to_string(), kind_number(frame.kind), short)
        });
        let (bins, duration, rows) = threads(timeline, facts);
        let state = |state: &RunState| StateRow { name: state.to_string(), on_cpu: state.is_on_cpu() };
        let files = files(stacks, sources);
        Data {
            title: facts.title(),
            subtitle: facts.subtitle(),
            facts: facts.summary_lines(),
            empty: (stacks.total() == 0).then(|| facts.why_empty()),
            total: stacks.total(),
            seconds_per_weight: facts.seconds_per_weight(),
            times_of: (facts.weights == Weights::Time).then(|| facts.whole()),
            effective_samples: facts.effective_samples,
            kinds: FrameKind::ALL.map(kind_row).into(),
            labels: labels.collect(),
            nodes: labelled.nodes(narrow.below),
            left_out: (narrow.frames, narrow.below.saturating_sub(1)),
            functions: functions(stacks),
            without_python: without_python(stacks),
            opens: opens(&files),
            files,
            processes: facts.processes.as_ref().filter(|processes| processes.count() > 1).map(process_rows),
            states: timeline.states().iter().map(state).collect(),
            bins,
            duration,
            threads: rows,
        }
    }
}

fn process_rows(processes: &ProcessesFacts) -> Vec<ProcessRow> {
    let row = |process: &ProcessFacts| ProcessRow {
        name: one_line(&process.shown().name()).into_owned(),
        cpu: process.cpu.as_secs_f64(),
        stacks: process.stacks,
    };
    processes.recorded.iter().map(row).collect()
}

fn kind_row(kind: FrameKind) -> KindRow {
    let Rgb { r, g, b } = kind_color(kind);
    KindRow { id: kind.id(), name: kind.description(), color: format!("rgb({r} {g} {b})") }
}
