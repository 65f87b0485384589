//! `fpprof record`: from arguments to a written profile.
//!
//! Does: the order of things: check the output, get hold of the target, record, name, write, report.
//! Does not: any of them itself.

mod open;
mod output_file;
mod progress;
mod recorder;
mod report;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::args::{FormatArg, ModeArg, NativeArg, RecordArgs, RecordingTime};
use super::failure::Failure;
use crate::output::format::Format;
use crate::output::label::LabelOptions;
use crate::sampler::session::{Mode, Session};
use crate::symbolize::names::NativeFrames;
use crate::target::launch::{Launched, exit_code};
use crate::types::Pid;
use output_file::{OutputFile, default_name};
use progress::Progress;
use recorder::{Ended, Plan, Recorder};

/// Runs the command.
///
/// # Errors
/// What went wrong before anything was recorded, or that the result could not be written.
pub fn run(args: &RecordArgs) -> Result<ExitCode, Failure> {
    let stop = stop_on_signals()?;
    let started = SystemTime::now();
    let mode = match args.mode() {
        ModeArg::Cpu => Mode::Cpu,
        ModeArg::Wall => Mode::Wall,
        ModeArg::Gil => Mode::Gil,
    };
    let format = format(args)?;
    // An output that was named is tried before a program is started for nothing.
    let named_output = args.output.as_deref().map(OutputFile::open).transpose()?;
    let mut launched = match args.pid {
        Some(_) => None,
        None => Some(Launched::start(&args.program).map_err(Failure::new)?),
    };
    let session = match (args.pid, &launched) {
        (Some(pid), _) => open::attach(Pid(pid), mode, &stop)?,
        (None, Some(launched)) => open::launched(launched.pid(), mode, &stop)?,
        (None, None) => return Err(Failure::new("there is nothing to record")),
    };
    let mut output = match named_output {
        Some(output) => output,
        None => OutputFile::open(&default_output(&session, started, format))?,
    };
    report::warn(&session);
    let plan = Plan { rate: args.rate, duration: duration(args), mode, threads: args.threads };
    let mut progress = Progress::new(plan.duration);
    let recording = Recorder::new(plan, &stop).run(session, &mut launched, &mut progress);
    progress.finish();

    let native = match args.native {
        NativeArg::Calls => NativeFrames::Calls,
        NativeArg::All => NativeFrames::All,
        NativeArg::None => NativeFrames::None,
    };
    let (stacks, facts) = report::finish(&recording, &plan, native, started);
    let labels = LabelOptions { by_function: args.function, no_line_numbers: args.nolineno };
    output.write(|writer| crate::output::write(format, &stacks, &facts, &labels, writer))?;
    report::print(&recording, &facts, &output, format);
    let ended_by_itself = recording.ended == Ended::TargetGone;
    let status = launched.filter(|_| ended_by_itself).and_then(|mut launched| launched.status());
    Ok(status.map_or(ExitCode::SUCCESS, |status| ExitCode::from(exit_code(status))))
}

/// Ctrl-C and SIGTERM end the recording, and nothing is lost.
fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::new(format_args!("signals cannot be handled: {error}")))?;
    }
    Ok(stop)
}

fn duration(args: &RecordArgs) -> Option<std::time::Duration> {
    match args.duration {
        Some(RecordingTime::AtMost(duration)) => Some(duration),
        Some(RecordingTime::Unlimited) | None => None,
    }
}

fn format(args: &RecordArgs) -> Result<Format, Failure> {
    match (args.format, &args.output) {
        (Some(FormatArg::Flamegraph), _) => Ok(Format::FlameGraph),
        (Some(FormatArg::Collapsed), _) => Ok(Format::Collapsed),
        (None, Some(path)) if path != Path::new("-") => Ok(Format::from_path(path).unwrap_or(Format::FlameGraph)),
        _ => Ok(Format::FlameGraph),
    }
}

fn default_output(session: &Session, started: SystemTime, format: Format) -> std::path::PathBuf {
    let process = session.process();
    default_name(&process.program_name(), process.pid, started, format.extension())
}
