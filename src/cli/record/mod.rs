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
use crate::record::plan::Ended;
use crate::record::recorder;
use crate::record::requests::Requests;
use crate::record::sources::KeptSources;
use crate::record::stream::Stream;
use crate::sampler::mode::Mode;
use crate::sampler::session::Session;
use crate::target::launch::{Launched, exit_code};
use finish::OutputJob;
use job::{Job, not_kept};
use output_file::{OutputFile, default_name};
use patience::Patience;
use progress::Progress;
use signals::{Suspension, Wishes, stop_on_signals};

/// How long a program that was started may take to end when its time is over, after each signal.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the command.
///
/// # Errors
/// What went wrong before anything was recorded, or that the result could not be written.
pub fn run(args: &RecordArgs) -> Result<ExitCode, Failure> {
    args.memory.apply_beside_a_target();
    let (Wishes { stop, again }, suspension) = (stop_on_signals()?, Suspension::new()?);
    let started = SystemTime::now();
    let job = Job::resolve(args)?;
    let Job { pid, program, program_output, plan, kind, output, force, is_made_of_samples, interim, .. } = job;
    let Job { shown, labels, sources, hideprogress, .. } = job;
    let opened = opening::open((pid, &args.follow), (&program, program_output), plan.mode, &stop)?;
    let Opened { session, follower, mut launched } = opened;
    Suspension::leave_sigcont_to_recording();
    if plan.mode == Mode::Gil && session.reader.found.interpreter.layout.free_threaded {
        return Err(refusal::no_gil(session.identity(), launched.is_some()));
    }
    let mut output = match output {
        Some(output) => output,
        None => OutputFile::open(&default_output(&session, started, kind), force)?.private(sources == KeptSources::All),
    };
    report::warn(&session);
    let mut progress = Progress::new(!hideprogress, plan.duration);
    let facts = first_facts(&session, &plan, started);
    let is_file = !output.can_block();
    let recording_file = match interim {
        Some(interim) => Some(interim),
        None => output.recording(kind == OutputKind::Recording).map_err(|error| output_file::not_written(&error))?,
    };
    let stream = match &recording_file {
        Some(file) => Some(stream(file.try_clone().map_err(not_kept)?, &facts)?),
        None => None,
    };
    let in_sums = !is_made_of_samples && kind != OutputKind::Recording;
    let stream = if in_sums { stream.map(Stream::in_sums) } else { stream };
    if let Some(name) = output.name_recording().map_err(|error| output_file::not_written(&error))? {
        report::say_where(&name, output.path());
    }
    let recording = suspension
        .while_recording(|suspend| {
            let requests = Requests { stop: &stop, suspend: Some(suspend) };
            recorder::record(plan, requests, stream, (session, follower), &mut launched, &mut progress)
        })
        .map_err(|error| refusal::no_thread(&error))?;
    drop(progress);
    let line = LiveLine::new(!hideprogress, " (Ctrl-C again to write nothing)");
    let (native, processes, full_filenames) = (shown.native, shown.processes, shown.full_filenames);
    let view = NamingOptions { native, processes, full_filenames, sources, steps: line.begin("looking up names") };
    let interim = recording_file.filter(|_| is_made_of_samples || kind == OutputKind::Recording && !is_file);
    let into = output.file().map_err(|error| output_file::not_written(&error))?;
    let finish = OutputJob { kind, view, labels, shown, interim, into };
    let mut patience = Patience::new(&again, recording.ended == Ended::Signal);
    let named = patience.wait_for(move || (recording.ended.clone(), finish.finish(recording, facts)));
    drop(line);
    let Some((ended, finished)) = named else {
        if kind != OutputKind::Recording {
            return Err(refusal::given_up("names were looked up", "nothing was written"));
        }
        let failure = refusal::given_up("names were looked up", "the recording has no names");
        return Err(report::kept(failure, output.keep_recording().as_deref()));
    };
    let written = match finished {
        Ok((facts, Some(made))) => write(output, made, &mut patience).map(|output| (facts, output)),
        Ok((facts, None)) => match output.commit() {
            Ok(()) => Ok((facts, output)),
            Err(failure) => Err(report::kept(failure, output.keep_recording().as_deref())),
        },
        Err(error) if is_file => {
            Err(report::kept(output_file::not_written(&error), output.keep_recording().as_deref()))
        }
        Err(error) => Err(not_kept(error)),
    };
    let (facts, output) = written?;
    report::print(&ended, &facts, &output, kind);
    let name = program_name(&program);
    if let Some(launched) = launched.as_mut().filter(|_| ended == Ended::TimeOver && !args.keep_running)
        && let Some((signal, status)) = launched.end(&[Signal::SIGINT, Signal::SIGTERM], GRACE)
    {
        report::print_ended_by(&name, launched.pid(), signal, status);
        return Ok(ExitCode::SUCCESS);
    }
    let status = match ended {
        // A launcher takes a moment to see that what it has started has ended.
        Ended::TargetGone => launched.as_mut().and_then(|launched| launched.status_within(GRACE)),
        _ => launched.as_mut().and_then(Launched::status),
    };
    if let Some(launched) = launched.filter(|_| status.is_none()) {
        report::print_runs_on(&name, launched.pid());
    }
    let status = status.filter(|_| ended == Ended::TargetGone);
    Ok(status.map_or(ExitCode::SUCCESS, |status| ExitCode::from(exit_code(status))))
}

/// Begins a recording in a file.
pub(super) fn stream(file: File, facts: &RecordingFacts) -> Result<Stream, Failure> {
    Stream::new(file, facts.clone()).map_err(|error| output_file::not_written(&error))
}

/// Writes the profile to who reads it, which can be given up.
fn write(
    mut output: OutputFile,
    mut made: Box<dyn Read + Send>,
    patience: &mut Patience<'_>,
) -> Result<OutputFile, Failure> {
    let written =
        patience.wait_for(move || output.write(|writer| io::copy(&mut made, writer).map(drop)).map(|()| output));
    written.unwrap_or_else(|| Err(refusal::given_up("the profile was written", "what reads it has not got all of it")))
}

fn default_output(session: &Session, started: SystemTime, kind: OutputKind) -> std::path::PathBuf {
    let process = session.identity();
    default_name(&process.program_name(), process.pid, started, kind.extension())
}
