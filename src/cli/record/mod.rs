//! `fpprof record`: from arguments to a written profile.
//!
//! Does: the order of things: resolve the arguments, get hold of the target, record, name, write, report.
//! Does not: any of them itself.

pub(super) mod finish;
pub(super) mod job;
pub(super) mod output_file;
mod patience;
pub(super) mod progress;
pub(super) mod report;
pub(super) mod signals;

use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use super::failure::Failure;
use super::live_line::LiveLine;
use super::opening::{self, Opened, program_name};
use super::record_args::RecordArgs;
use super::refusal;
use crate::cli::output_kind::OutputKind;
use crate::profile::facts::RecordingFacts;
use crate::record::facts::first_facts;
use crate::record::naming::NamingOptions;
use crate::record::recorder::{self, Ended};
use crate::record::requests::Requests;
use crate::record::stream::Stream;
use crate::sampler::mode::Mode;
use crate::sampler::session::Session;
use crate::target::launch::{Launched, exit_code};
use finish::OutputJob;
use job::{Job, not_kept};
use output_file::{OutputFile, default_name};
use patience::Patience;
use progress::Progress;
use signals::{Suspension, stop_on_signals};

/// How long a program that was started may take to end when its time is over, after each signal.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the command.
///
/// # Errors
/// What went wrong before anything was recorded, or that the result could not be written.
pub fn run(args: &RecordArgs) -> Result<ExitCode, Failure> {
    args.memory.apply_beside_a_target();
    let (stop, suspension) = (stop_on_signals()?, Suspension::new()?);
    let started = SystemTime::now();
    let Job { pid, program, program_output, plan, kind, output, force, interim, shown, labels, hideprogress } =
        Job::resolve(args)?;
    let Opened { session, mut launched } = opening::open(pid, (&program, program_output), plan.mode, &stop)?;
    Suspension::leave_sigcont_to_recording();
    if plan.mode == Mode::Gil && session.reader.found.interpreter.layout.free_threaded {
        return Err(refusal::no_gil(session.identity(), launched.is_some()));
    }
    let mut output = match output {
        Some(output) => output,
        None => OutputFile::open(&default_output(&session, started, kind), force)?,
    };
    report::warn(&session);
    let mut progress = Progress::new(!hideprogress, plan.duration);
    let facts = first_facts(&session, &plan, started);
    let stream = match (kind, &interim) {
        (OutputKind::Recording, _) => Some(stream(recording_file(&mut output)?, &facts)?),
        (_, Some(interim)) => Some(stream(interim.try_clone().map_err(not_kept)?, &facts)?),
        _ => None,
    };
    let root = session.reader.root();
    let recording = suspension
        .while_recording(|suspend| {
            let requests = Requests { stop: &stop, suspend: Some(suspend) };
            recorder::record(plan, requests, stream, session, &mut launched, &mut progress)
        })
        .map_err(no_thread)?;
    drop(progress);
    let line = LiveLine::new(!hideprogress, " (Ctrl-C again to write nothing)");
    let (native, full_filenames) = (shown.native, shown.full_filenames);
    let view = NamingOptions { native, full_filenames, steps: line.begin("looking up names") };
    let finish = OutputJob { kind, view, labels, shown, root, interim };
    let mut patience = Patience::new(&stop, recording.ended == Ended::Signal);
    let named = patience.wait_for(move || (recording.ended.clone(), finish.finish(recording, facts)));
    drop(line);
    let Some((ended, finished)) = named else {
        let lost = if kind == OutputKind::Recording { "the recording has no names" } else { "nothing was written" };
        return Err(refusal::given_up("names were looked up", lost));
    };
    let (facts, made) = finished.map_err(|error| {
        Failure::new(format_args!("the profile cannot be written: {error}"))
            .with_hint("Of a `.fpprof` file, `fpprof report` shows what was written before.")
    })?;
    if let Some(made) = made {
        output = write(output, made, &mut patience)?;
    }
    report::print(&ended, &facts, &output, kind);
    let name = program_name(&program);
    if let Some(launched) = launched.as_mut().filter(|_| ended == Ended::TimeOver && !args.keep_running)
        && let Some((signal, status)) = launched.end(&[Signal::SIGINT, Signal::SIGTERM], GRACE)
    {
        report::print_ended_by(&name, launched.pid(), signal, status);
        return Ok(ExitCode::SUCCESS);
    }
    let status = launched.as_mut().and_then(Launched::status);
    if let Some(launched) = launched.filter(|_| status.is_none()) {
        report::print_runs_on(&name, launched.pid());
    }
    let status = status.filter(|_| ended == Ended::TargetGone);
    Ok(status.map_or(ExitCode::SUCCESS, |status| ExitCode::from(exit_code(status))))
}

fn no_thread(error: std::io::Error) -> Failure {
    Failure::new(format_args!("there can be no thread that records: {error}"))
        .with_hint("`ulimit -u` and the container's limit of processes say how many threads there may be.")
}

/// The output, to write a recording to.
fn recording_file(output: &mut OutputFile) -> Result<File, Failure> {
    let file = output.stream().map_err(|error| output_file::not_written(&error))?;
    file.ok_or_else(|| {
        Failure::new("a recording is written to a file while it is made, and the output is none")
            .with_hint("Name a file, `--output run.fpprof`, or choose another `--format`.")
    })
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

fn default_output(session: &Session, started: SystemTime, kind: OutputKind) -> std::path::PathBuf {
    let process = session.identity();
    default_name(&process.program_name(), process.pid, started, kind.extension())
}
