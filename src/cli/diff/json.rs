//! A comparison as JSON, for programs; docs/diff.md has the schema.
//!
//! Does: lay it out. Does not: compare.

use serde::Serialize;

use super::{Comparison, Recorded};
use crate::cli::standard_output::document;
use crate::profile::comparison::{Change, Estimate, FunctionChange, Unit};

/// The version of the schema.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    unit: &'static str,
    before: RecordingJson,
    after: RecordingJson,
    functions: Vec<FunctionJson<'a>>,
}

#[derive(Serialize)]
struct RecordingJson {
    file: String,
    command: String,
    pid: i32,
    python: Option<String>,
    mode: &'static str,
    duration: f64,
    samples: u64,
    part: Option<String>,
}

#[derive(Serialize)]
struct FunctionJson<'a> {
    name: &'a str,
    place: Option<&'a str>,
    kind: &'static str,
    own: ChangeJson,
    total: ChangeJson,
}

#[derive(Serialize)]
struct ChangeJson {
    before: EstimateJson,
    after: EstimateJson,
    change: EstimateJson,
    noise: bool,
}

#[derive(Serialize)]
struct EstimateJson {
    value: f64,
    error: f64,
}

/// The document.
pub fn text(comparison: &Comparison<'_>) -> String {
    let Comparison { before, after, unit, changes } = comparison;
    let content = Document {
        unit: match unit {
            Unit::Share => "share",
            Unit::Seconds => "seconds",
        },
        before: recording(before),
        after: recording(after),
        functions: changes.iter().map(function).collect(),
    };
    document("fpprof diff", VERSION, &content)
}

fn recording(recorded: &Recorded<'_>) -> RecordingJson {
    let facts = &recorded.part.facts;
    RecordingJson {
        file: recorded.path.display().to_string(),
        command: facts.command.clone(),
        pid: facts.pid.0,
        python: facts.python_version.clone(),
        mode: facts.threads.name(),
        duration: facts.duration.as_secs_f64(),
        samples: recorded.counts.ticks(),
        part: facts.shown_part.clone(),
    }
}

fn function(changed: &FunctionChange) -> FunctionJson<'_> {
    FunctionJson {
        name: &changed.key.name,
        place: changed.key.place.as_deref(),
        kind: changed.kind.id(),
        own: change(&changed.own),
        total: change(&changed.total),
    }
}

fn change(change: &Change) -> ChangeJson {
    let estimate = |Estimate { value, error }: Estimate| EstimateJson { value, error };
    ChangeJson {
        before: estimate(change.before),
        after: estimate(change.after),
        change: EstimateJson { value: change.difference(), error: change.error() },
        noise: change.is_noise(),
    }
}
