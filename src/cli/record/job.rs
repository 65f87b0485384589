//! What `fpprof record` is asked to do.
//!
//! Does: resolve its arguments: which target, how it is recorded, what is made of it; refuse what makes no sense, and try the output
//! before a program is started for nothing.
//! Does not: record, or open a target.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use super::output_file::{self, OutputFile};
use crate::cli::failure::Failure;
use crate::cli::messages::say;
use crate::cli::output_kind::{self, OutputKind};
use crate::cli::record_args::RecordArgs;
use crate::cli::shown_args::{self, SpanArgs};
use crate::cli::values::{MaxOverhead, RecordingTime};
use crate::output::label::LabelOptions;
use crate::record::interim::temporary_file;
use crate::record::plan::Plan;
use crate::record::program::StackLabels;
use crate::record::sources::KeptSources;
use crate::report::options::ReportOptions;
use crate::sampler::budget::Limits;
use crate::target::launch::ProgramOutput;

/// A job.
#[derive(Debug)]
pub struct Job {
    /// The process to record; else the program is started.
    pub pid: Option<i32>,
    /// The program, and its arguments.
    pub program: Vec<OsString>,
    /// Where its own output goes.
    pub program_output: ProgramOutput,
    /// How it is recorded.
    pub plan: Plan,
    /// What is made of it.
    pub kind: OutputKind,
    /// Where that goes; named by the target when this is absent.
    pub output: Option<OutputFile>,
    /// Whether it may replace what fpprof has not written.
    pub force: bool,
    /// Whether the output is made of every sample.
    pub is_made_of_samples: bool,
    /// Where the recording is kept that an output is made of which is no file.
    pub interim: Option<File>,
    /// What is shown.
    pub shown: ReportOptions,
    /// How frames are labelled.
    pub labels: LabelOptions,
    /// What is kept of the files that functions are from.
    pub sources: KeptSources,
    /// Whether no live line is shown.
    pub hideprogress: bool,
}

impl Job {
    /// Resolves the arguments.
    ///
    /// # Errors
    /// What cannot be done, and what to do instead.
    pub fn resolve(args: &RecordArgs) -> Result<Job, Failure> {
        if let Some((switch, instead)) = args.refused.given() {
            return Err(Failure::new(format_args!("`{switch}` is py-spy's, and not offered")).with_hint(instead));
        }
        let kind = output_kind::of(args.format, args.output.as_deref())?;
        output_kind::check_filters(kind, &args.filter)?;
        output_kind::check_inverted(kind, args.shown.inverted)?;
        if kind == OutputKind::Recording && !args.shown.for_reports().is_empty() {
            let switches = args.shown.for_reports().join(", ");
            say(format_args!(
                "fpprof: warning: a recording keeps everything, whatever is shown of it: give {switches} to `fpprof report`"
            ));
        }
        let sources = match kind {
            OutputKind::Shown(format) if !format.shows_sources() => KeptSources::None,
            _ if args.no_sources => KeptSources::None,
            _ => KeptSources::All,
        };
        let output = match &args.output {
            Some(path) => Some(OutputFile::open(path, args.force)?.private(sources == KeptSources::All)),
            None => output_file::check_current_directory().map(|()| None)?,
        };
        // Which samples are wanted is known by names only, which are looked up at the end.
        let is_made_of_samples =
            matches!(kind, OutputKind::Shown(format) if format.needs_samples() || args.filter.given().is_some());
        let needs_interim = is_made_of_samples || kind == OutputKind::Recording;
        let is_no_file = output.as_ref().is_some_and(OutputFile::can_block);
        let interim = (needs_interim && is_no_file).then(|| temporary_file().map_err(not_kept)).transpose()?;
        let plan = Plan {
            rate: args.rate,
            duration: duration(args),
            mode: args.mode(),
            intervals: args.clock,
            labels: match (kind, is_made_of_samples) {
                (OutputKind::Shown(_), false) => StackLabels { thread: args.shown.threads, state: args.shown.states },
                // They are kept with each sample.
                _ => StackLabels::default(),
            },
            limits: limits(args.max_overhead),
        };
        Ok(Job {
            pid: args.pid,
            program: args.program.clone(),
            program_output: program_output(args),
            plan,
            kind,
            output,
            force: args.force,
            is_made_of_samples,
            interim,
            shown: shown_args::choice(SpanArgs::default(), &args.filter, &args.shown),
            labels: args.shown.labels(),
            sources,
            hideprogress: args.hideprogress,
        })
    }
}

/// What to tell when the samples cannot be kept.
pub fn not_kept(error: io::Error) -> Failure {
    Failure::new(format_args!("the samples cannot be kept in a temporary file: {error}"))
        .with_hint("Let TMPDIR name a folder that can be written and has space, or write to a file: `--output FILE`.")
}

/// A profile on standard output is to be read by another program: nothing else may be in it.
fn program_output(args: &RecordArgs) -> ProgramOutput {
    match args.output.as_deref() {
        Some(path) if output_file::is_standard_output(path) => ProgramOutput::ToStandardError,
        _ => ProgramOutput::Inherited,
    }
}

/// What recording may take.
pub fn limits(allowed: MaxOverhead) -> Option<Limits> {
    match allowed {
        MaxOverhead::Share(target) => Some(Limits::of_target(target)),
        MaxOverhead::Unlimited => None,
    }
}

fn duration(args: &RecordArgs) -> Option<std::time::Duration> {
    match args.duration {
        Some(RecordingTime::AtMost(duration)) => Some(duration),
        Some(RecordingTime::Unlimited) | None => None,
    }
}
