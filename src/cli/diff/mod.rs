//! `fpprof diff`: what has changed from one recording to another.
//!
//! Does: the order of things: read both, choose, compare, write. Does not: any of them itself.

pub mod args;
mod json;
mod table;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use self::args::{DiffArgs, DiffFormat, Side};
use super::failure::Failure;
use super::live_line::LiveLine;
use super::messages::say;
use super::record::output_file::OutputFile;
use super::report::{read, refuse_recording};
use super::style::Style;
use crate::cli::standard_output::set;
use crate::output::{self, Difference};
use crate::profile::clean::one_line;
use crate::profile::comparison::{Counts, FunctionChange, Unit, compare};
use crate::profile::facts::RecordingFacts;
use crate::profile::processes::ProcessLabels;
use crate::report::RecordingPart;
use crate::report::options::ReportOptions;

/// One of the recordings.
#[derive(Debug)]
struct Recorded<'a> {
    path: &'a Path,
    part: RecordingPart,
    counts: Counts,
}

/// Everything that is known when both are compared.
#[derive(Debug)]
struct Comparison<'a> {
    before: Recorded<'a>,
    after: Recorded<'a>,
    unit: Unit,
    changes: Vec<FunctionChange>,
}

/// Runs the command.
///
/// # Errors
/// That a recording cannot be read, has nothing to compare, or that the output cannot be written.
pub fn run(args: &DiffArgs) -> Result<ExitCode, Failure> {
    args.memory.apply_alone();
    let format = args.format();
    let path = args.output.as_deref().unwrap_or(Path::new("-"));
    if format == DiffFormat::Flamegraph && args.output.is_none() {
        return Err(Failure::new("a flame graph is for a browser, not for a terminal")
            .with_hint("Say where it goes: `--output change.svg`, or `--output -` for standard output.")
            .with_exit_code(2));
    }
    for recording in [&args.before, &args.after] {
        refuse_recording(path, recording)?;
    }
    let choice = ReportOptions {
        span: args.span.into(),
        filter: (&args.filter).into(),
        native: args.native,
        // Another day's processes have other ids.
        processes: ProcessLabels::Merged,
        modules: args.modules.root()?,
        ..ReportOptions::default()
    };
    let line = LiveLine::new(!args.hideprogress, "");
    let [before, after] = [recorded(&args.before, &choice, &line)?, recorded(&args.after, &choice, &line)?];
    warn(&before.part.facts, &after.part.facts);
    let unit = args.unit.into();
    let changes = compare(&before.counts, &after.counts, unit);
    let mut comparison = Comparison { before, after, unit, changes };
    drop(line);
    if format == DiffFormat::Flamegraph {
        comparison = comparison.fitted(args.stacks).map_err(|error| {
            Failure::new(format_args!("the difference cannot be drawn: {error}"))
                .with_hint("`--format table` takes less memory.")
        })?;
    }
    let mut output = OutputFile::open(path, args.force)?;
    let style = if output.path().is_some() { Style::PLAIN } else { args.color.style() };
    match format {
        DiffFormat::Table => output.write_text(&set(&table::text(&comparison, args.all, style), style)),
        DiffFormat::Json => output.write(|out| out.write_all(json::text(&comparison).as_bytes())),
        DiffFormat::Flamegraph => {
            output.write(|out| output::write_difference(&comparison.difference(args.stacks), out))
        }
    }?;
    if let Some(path) = output.path() {
        say(format_args!("fpprof: wrote {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn recorded<'a>(path: &'a Path, choice: &ReportOptions, line: &LiveLine) -> Result<Recorded<'a>, Failure> {
    let recording = read(path, line)?;
    if let Some(why) = &recording.cut_off {
        line.say(format_args!(
            "fpprof: warning: {} was cut off, {why}: what was written before is compared",
            path.display()
        ));
    }
    let part = RecordingPart::of(&recording, choice, &line.begin("looking up names"));
    let counts = part.counts();
    if counts.ticks() == 0 {
        let facts = &part.facts;
        return Err(Failure::new(format_args!("{} has nothing to compare: {}", path.display(), facts.why_empty()))
            .with_hint(match part.other_threads() {
                Some(threads) => {
                    format!("No thread is the one that `--thread` names; those that were recorded: {threads}")
                }
                None => "Record for longer, or choose other threads, functions or times.".to_owned(),
            }));
    }
    Ok(Recorded { path, part, counts })
}

/// Tells what makes two recordings hard to compare.
fn warn(before: &RecordingFacts, after: &RecordingFacts) {
    let [old, new] = [before, after].map(|facts| facts.threads.name());
    if old != new {
        say(format_args!(
            "fpprof: warning: the first was recorded in {old} mode, the second in {new} mode: their samples are of different threads"
        ));
    }
    let [old, new] = [before, after].map(|facts| facts.python_version.as_deref().unwrap_or("unknown"));
    if old != new {
        say(format_args!(
            "fpprof: warning: the first is of CPython {old}, the second of {new}: the interpreter's own functions have changed, too"
        ));
    }
}

impl Recorded<'_> {
    fn only_facts(self) -> Self {
        Recorded { part: self.part.without_stacks(), ..self }
    }

    fn drawn(self) -> io::Result<Self> {
        Ok(Recorded { part: self.part.fitted_for_difference()?, ..self })
    }
}

impl Comparison<'_> {
    /// The comparison as far as there is room to draw it.
    fn fitted(self, side: Side) -> io::Result<Self> {
        let Comparison { before, after, .. } = self;
        let (before, after) = match side {
            Side::Before => {
                let after = after.only_facts();
                (before.drawn()?, after)
            }
            Side::After => (before.only_facts(), after.drawn()?),
        };
        Ok(Comparison { before, after, ..self })
    }

    fn difference(&self, side: Side) -> Difference<'_> {
        let (old, new) = (&self.before, &self.after);
        let (drawn, which) = match side {
            Side::Before => (old, "before"),
            Side::After => (new, "after"),
        };
        let name = |recorded: &Recorded<'_>| one_line(&recorded.path.display().to_string()).into_owned();
        let lines = |recorded: &Recorded<'_>| recorded.part.facts.summary_lines().join("\n");
        Difference {
            stacks: drawn.part.stacks(),
            changes: &self.changes,
            facts: &drawn.part.facts,
            unit: self.unit,
            title: format!("from {} to {}", name(old), name(new)),
            subtitle: format!(
                "change of total time ({}), ±: what sampling explains (95 %); the stacks {which}",
                self.unit.description()
            ),
            description: format!("before: {}\n{}\n\nafter: {}\n{}", name(old), lines(old), name(new), lines(new)),
        }
    }
}
