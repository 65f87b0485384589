//! `fpprof report`: from a recording to a profile.
//!
//! Does: the order of things: read, choose, name, write; and say what the recording lacks.
//! Does not: any of them itself.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::failure::Failure;
use super::folder_args;
use super::live_line::LiveLine;
use super::messages::say;
use super::output_kind::{self, OutputKind};
use super::record::output_file::OutputFile;
use super::report_args::ReportArgs;
use super::shown_args;
use crate::output::format::Format;
use crate::profile::recording::{self, ReadError, ReadingRoom, RecordedProgram, Recording};
use crate::profile::steps::Steps;
use crate::report::RecordingPart;
use crate::report::options::ReportOptions;
use crate::report::sources::OtherSources;
use crate::target::memory_budget::{Meter, Share};

/// Runs the command.
///
/// # Errors
/// That the recording cannot be read, or the profile not be written.
pub fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    args.memory.apply_alone();
    let line = LiveLine::new(!args.hideprogress, "");
    let recording = read(&args.recording, &line)?;
    if let Some(path) = &args.output {
        refuse_recording(path, &args.recording)?;
    }
    let kind = output_kind::of(args.format.map(OutputKind::Shown), args.output.as_deref())?;
    output_kind::check_inverted(kind, args.shown.inverted)?;
    let OutputKind::Shown(format) = kind else {
        return Err(Failure::new("a recording is what a report is made of")
            .with_hint("Name the output for a format, or choose one with `--format`."));
    };
    let modules = args.modules.root()?;
    let mut choice = ReportOptions { modules, ..shown_args::choice(args.span, &args.filter, &args.shown) };
    choice.filter.pids.clone_from(&args.pid);
    let folder = args.sources.as_deref().map(|folder| folder_args::open("--sources", folder)).transpose()?;
    if let Some(why) = &recording.cut_off {
        line.say(format_args!("fpprof: warning: the recording was cut off, {why}: what was written before is shown"));
        if choice.modules.is_none() && recording.programs.iter().any(RecordedProgram::lacks_names) {
            line.say("fpprof: warning: names of native functions are not in it: `--modules FOLDER` looks them up in the files below a folder, `--modules /` in this system's");
        }
    }
    let others = folder.as_ref().map_or(OtherSources::Missing, OtherSources::Below);
    let part = RecordingPart::of(&recording, &choice, &line.begin("looking up names")).with_sources(
        &recording,
        format,
        others,
        choice.full_filenames,
    );
    // What is written takes memory, too.
    drop(recording);
    let part = part.fitted(format, &args.shown.labels()).map_err(|error| {
        Failure::new(format_args!("the profile does not fit into memory: {error}"))
            .with_hint("`--max-memory 2GB` allows more.")
    })?;
    let path = output(args, format);
    refuse_recording(&path, &args.recording)?;
    let mut output = OutputFile::open(&path, args.force)?.private(kind.is_private());
    line.begin("writing");
    output.write(|writer| part.write(format, &args.shown.labels(), writer))?;
    drop(line);
    warn_if_empty(&part);
    if let Some(path) = output.path() {
        say(format_args!("fpprof: wrote {}: open it with {}", path.display(), format.viewer()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells the user who has chosen something that there is nothing of it.
pub(super) fn warn_if_empty(part: &RecordingPart) {
    if part.is_empty_choice() {
        say("fpprof: warning: nothing that was recorded is what was chosen: the profile is empty");
        if let Some(threads) = part.other_threads() {
            say(format_args!(
                "fpprof: no thread is the one that `--thread` names; those that were recorded: {threads}"
            ));
        }
    }
}

/// Reads a recording.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub(super) fn read(path: &Path, line: &LiveLine) -> Result<Recording, Failure> {
    let read = || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let steps = line.begin("reading");
        steps.expect(usize::try_from(length).unwrap_or(usize::MAX));
        let mut samples = Meter::new(Share::Reading);
        let mut rest = Meter::new(Share::Making);
        let mut room = ReadingRoom { samples: &mut samples, rest: &mut rest };
        recording::read_within(BufReader::new(Told { file, steps }), length, &mut room)
    };
    read().map_err(|error| {
        let failure = Failure::new(format_args!("{}: {error}", path.display()));
        failure.with_hint(match error {
            ReadError::Newer(_) => "Use the fpprof that has written it, or a later one.",
            ReadError::Foreign => "Give a file that `fpprof record --output run.fpprof` has written.",
            ReadError::Unreadable(_) => "Give the path of a file that can be read.",
            ReadError::NoRoom => "`--max-memory 2GB` allows more.",
            ReadError::Empty | ReadError::Damaged(_) => "Nothing in it can be shown: record again.",
        })
    })
}

/// A file that tells how much of it has been read.
struct Told {
    file: File,
    steps: Arc<Steps>,
}

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.steps.advance(length);
        Ok(length)
    }
}

/// Refuses to write over the recording.
///
/// # Errors
/// When the output is the recording.
pub(super) fn refuse_recording(output: &Path, recording: &Path) -> Result<(), Failure> {
    let identity = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    if identity(output).is_none() || identity(output) != identity(recording) {
        return Ok(());
    }
    Err(Failure::new(format_args!("{} is the recording itself", output.display()))
        .with_hint("Say where the profile shall go: `--output FILE`."))
}

fn output(args: &ReportArgs, format: Format) -> PathBuf {
    match &args.output {
        Some(path) => path.clone(),
        None if format.is_lines() => PathBuf::from("-"),
        None => args.recording.with_extension(format.extension()),
    }
}
