//! `fpprof report`: from a recording to a profile.
//!
//! Does: the order of things: read, choose, name, write; and say what the recording lacks.
//! Does not: any of them itself.

mod choice;
mod facts;
mod naming;

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::failure::Failure;
use super::record::output_file::OutputFile;
use super::report_args::ReportArgs;
use crate::output::format::Format;
use crate::output::label::LabelOptions;
use crate::profile::Profile;
use crate::profile::recording::{self, ReadError, Recording};
use choice::Choice;

/// Runs the command.
///
/// # Errors
/// That the recording cannot be read, or the profile not be written.
pub fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let recording = read(&args.recording)?;
    let format = format(args);
    let choice = Choice::new(args);
    if let Some(why) = &recording.cut_off {
        eprintln!("fpprof: warning: the recording was cut off, {why}: what was written before is shown");
    }
    let mut profile = Profile::new();
    for program in &recording.programs {
        naming::add_stacks(program, &choice, &mut profile);
    }
    let facts = facts::of(&recording, &choice);
    if profile.total() == 0 && facts.shown_part.is_some() {
        eprintln!("fpprof: warning: nothing in the recording is what was chosen: the profile is empty");
    }
    let labels = LabelOptions { by_function: args.function, no_line_numbers: args.nolineno };
    let path = output(args, format);
    if is_same_file(&path, &args.recording) {
        return Err(Failure::new(format_args!("{} is the recording itself", path.display()))
            .with_hint("Say where the profile shall go: `--output FILE`."));
    }
    let mut output = OutputFile::open(&path)?;
    output.write(|writer| crate::output::write(format, &profile, &facts, &labels, writer))?;
    if let Some(path) = output.path() {
        eprintln!("fpprof: wrote {}: open it with {}", path.display(), format.viewer());
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Recording, Failure> {
    let read = || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        recording::read(BufReader::new(file), length)
    };
    read().map_err(|error| {
        let failure = Failure::new(format_args!("{}: {error}", path.display()));
        failure.with_hint(match error {
            ReadError::Newer(_) => "Use the fpprof that has written it, or a later one.",
            ReadError::Foreign => "Give a file that `fpprof record --output run.fpprof` has written.",
            ReadError::Unreadable(_) => "Give the path of a file that can be read.",
            ReadError::Empty | ReadError::Damaged(_) => "Nothing in it can be shown: record again.",
        })
    })
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    identity(one).is_some() && identity(one) == identity(other)
}

fn format(args: &ReportArgs) -> Format {
    let by_extension = || args.output.as_deref().filter(|path| *path != Path::new("-")).and_then(Format::from_path);
    args.format.or_else(by_extension).unwrap_or(Format::FlameGraph)
}

fn output(args: &ReportArgs, format: Format) -> PathBuf {
    match (&args.output, format) {
        (Some(path), _) => path.clone(),
        (None, Format::Collapsed) => PathBuf::from("-"),
        (None, Format::FlameGraph) => args.recording.with_extension(format.extension()),
    }
}
