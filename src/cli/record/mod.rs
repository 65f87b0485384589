//! `fpprof record`: from arguments to a written profile.
//!
//! Does: the order of things: check the output, get hold of the target, record, name, write, report; and tell how
//! the arguments are meant.
//! Does not: any of them itself.

pub(super) mod finish;
pub(super) mod output_file;
mod patience;
pub(super) mod progress;
pub(super) mod report;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::failure::Failure;
use super::live_line::LiveLine;
use super::opening::{self, Opened, program_name};
use super::record_args::RecordArgs;
use super::refusal;
use super::shown_args::{self, SpanArgs};
use super::values::{MaxOverhead, RecordingTime};
use crate::cli::output_kind::{self, OutputKind};
use crate::profile::facts::RecordingFacts;
use crate::record::facts::first_facts;
use crate::record::interim::temporary_file;
use crate::record::naming::NamingOptions;
use crate::record::program::StackLabels;
use crate::record::recorder::{Ended, Plan, Recorder};
use crate::record::stream::Stream;
use crate::sampler::budget::Limits;
use crate::sampler::mode::Mode;
use crate::sampler::session::Session;
use crate::target::launch::{Launched, ProgramOutput, exit_code};
use finish::OutputJob;
use output_file::{OutputFile, default_name};
use patience::Patience;
use progress::Progress;

/// Runs the command.
///
/// # Errors
/// What went wrong before anything was recorded, or that the result could not be written.
pub fn run(args: &RecordArgs) -> Result<ExitCode, Failure> {
    if let Some((switch, instead)) = args.refused.given() {
        return Err(Failure::new(format_args!("`{switch}` is py-spy's, and not offered")).with_hint(instead));
    }
    let stop = stop_on_signals()?;
    let started = SystemTime::now();
    let mode = args.mode();
    let format = output_kind::of(args.format, args.output.as_deref())?;
    output_kind::check_filters(format, &args.filter)?;
    output_kind::check_inverted(format, args.shown.inverted)?;
    if format == OutputKind::Recording && !args.shown.for_reports().is_empty() {
        let switches = args.shown.for_reports().join(", ");
        eprintln!(
            "fpprof: warning: a recording keeps everything, whatever is shown of it: give {switches} to `fpprof report`"
        );
    }
    // The output is tried before a program is started for nothing.
    let named_output = match &args.output {
        Some(path) => Some(OutputFile::open(path, args.force)?),
        None => output_file::check_current_directory().map(|()| None)?,
    };
    // Which samples are wanted is known by names only, which are looked up at the end.
    let is_made_of_samples =
        matches!(format, OutputKind::Shown(format) if format.needs_samples() || args.filter.given().is_some());
    let interim = is_made_of_samples.then(interim).transpose()?;
    let opened = opening::open(args.pid, (&args.program, program_output(args)), mode, &stop)?;
    let Opened { session, mut launched } = opened;
    if mode == Mode::Gil && session.reader.found.interpreter.layout.free_threaded {
        return Err(refusal::no_gil(session.identity(), launched.is_some()));
    }
    let mut output = match named_output {
        Some(output) => output,
        None => OutputFile::open(&default_output(&session, started, format), args.force)?,
    };
    report::warn(&session);
    let plan = Plan {
        rate: args.rate,
        duration: duration(args),
        mode,
        intervals: args.clock,
        labels: match (format, is_made_of_samples) {
            (OutputKind::Shown(_), false) => StackLabels { thread: args.shown.threads, state: args.shown.states },
            // They are kept with each sample.
            _ => StackLabels::default(),
        },
        limits: limits(args.max_overhead),
    };
    let mut progress = Progress::new(!args.hideprogress, plan.duration);
    let facts = first_facts(&session, &plan, started);
    let stream = match (format, &interim) {
        (OutputKind::Recording, _) => Some(stream(recording_file(&mut output)?, &facts)?),
        (_, Some(interim)) => Some(stream(interim.try_clone().map_err(not_kept)?, &facts)?),
        _ => None,
    };
    let root = session.reader.root();
    let recording = Recorder::new(plan, &stop, stream).run(session, &mut launched, &mut progress);
    drop(progress);
    let line = LiveLine::new(!args.hideprogress, " (Ctrl-C again to write nothing)");

    let finish = OutputJob {
        kind: format,
        view: NamingOptions {
            native: args.shown.native.frames(),
            full_filenames: args.shown.full_filenames,
            steps: line.begin("looking up names"),
        },
        labels: args.shown.labels(),
        choice: shown_args::choice(SpanArgs::default(), &args.filter, &args.shown),
        root,
        interim,
    };
    let mut patience = Patience::new(&stop, recording.ended == Ended::Signal);
    let named = patience.wait_for(move || (recording.ended.clone(), finish.finish(recording, facts)));
    drop(line);
    let Some((ended, finished)) = named else {
        let lost = if format == OutputKind::Recording { "the recording has no names" } else { "nothing was written" };
        return Err(refusal::given_up("names were looked up", lost));
    };
    let (facts, made) = finished.map_err(|error| {
        Failure::new(format_args!("the profile cannot be written: {error}"))
            .with_hint("Of a `.fpprof` file, `fpprof report` shows what was written before.")
    })?;
    if let Some(made) = made {
        output = write(output, made, &mut patience)?;
    }
    report::print(&ended, &facts, &output, format);
    let status = launched.as_mut().and_then(Launched::status);
    if let Some(launched) = launched.filter(|_| status.is_none()) {
        report::print_runs_on(&program_name(&args.program), launched.pid());
    }
    let status = status.filter(|_| ended == Ended::TargetGone);
    Ok(status.map_or(ExitCode::SUCCESS, |status| ExitCode::from(exit_code(status))))
}

/// The output, to write a recording to.
fn recording_file(output: &mut OutputFile) -> Result<File, Failure> {
    let file = output.stream().map_err(|error| output_file::not_written(&error))?;
    file.ok_or_else(|| {
        Failure::new("a recording is written to a file while it is made, and the output is none")
            .with_hint("Name a file, `--output run.fpprof`, or choose another `--format`.")
    })
}

/// A file for the samples that the output is made of.
fn interim() -> Result<File, Failure> {
    temporary_file().map_err(not_kept)
}

/// What to tell when the samples cannot be kept.
pub(super) fn not_kept(error: io::Error) -> Failure {
    Failure::new(format_args!("the samples cannot be kept in a temporary file: {error}"))
        .with_hint("Let TMPDIR name a folder that can be written.")
}

/// Begins a recording in a file.
pub(super) fn stream(file: File, facts: &RecordingFacts) -> Result<Stream, Failure> {
    Stream::new(file, facts.clone()).map_err(|error| output_file::not_written(&error))
}

/// Writes the profile. What is in a file is whole: only the wait for who reads a pipe can be given up.
fn write(
    mut output: OutputFile,
    mut made: Box<dyn Read + Send>,
    patience: &mut Patience<'_>,
) -> Result<OutputFile, Failure> {
    if !output.can_block() {
        return output.write(|writer| io::copy(&mut made, writer).map(drop)).map(|()| output);
    }
    let written =
        patience.wait_for(move || output.write(|writer| io::copy(&mut made, writer).map(drop)).map(|()| output));
    written.unwrap_or_else(|| Err(refusal::given_up("the profile was written", "what reads it has not got all of it")))
}

/// Ctrl-C and SIGTERM end the recording, and nothing is lost; the second one is [`Patience`]'s.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|error| {
            Failure::new(format_args!("signals cannot be handled: {error}"))
                .with_hint("A sandbox (a seccomp profile) forbids sigaction(2): run fpprof outside it.")
        })?;
    }
    Ok(stop)
}

/// A profile on standard output is to be read by another program: nothing else may be in it.
fn program_output(args: &RecordArgs) -> ProgramOutput {
    match args.output.as_deref() {
        Some(path) if path == Path::new("-") => ProgramOutput::ToStandardError,
        _ => ProgramOutput::Inherited,
    }
}

/// fpprof's own share is that of one CPU, and most machines have several: five times as much does no more harm.
const OWN_TO_TARGET: f64 = 5.0;

/// What recording may take.
pub(super) fn limits(allowed: MaxOverhead) -> Option<Limits> {
    match allowed {
        MaxOverhead::Share(target) => Some(Limits { target, own: target * OWN_TO_TARGET }),
        MaxOverhead::Unlimited => None,
    }
}

fn duration(args: &RecordArgs) -> Option<std::time::Duration> {
    match args.duration {
        Some(RecordingTime::AtMost(duration)) => Some(duration),
        Some(RecordingTime::Unlimited) | None => None,
    }
}

fn default_output(session: &Session, started: SystemTime, kind: OutputKind) -> std::path::PathBuf {
    let process = session.identity();
    default_name(&process.program_name(), process.pid, started, kind.extension())
}
