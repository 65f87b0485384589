//! What the user is told of a recording: before it, what may make it worth less; after it, where it is and what it is worth.
//!
//! Does: word it. Does not: record, or find it out.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitStatus;
use std::thread;

use nix::sys::signal::Signal;

use super::output_file::OutputFile;
use crate::cli::failure::Failure;
use crate::cli::messages::say;
use crate::cli::output_kind::OutputKind;
use crate::profile::facts::RecordingFacts;
use crate::python::layout::Support;
use crate::record::plan::Ended;
use crate::sampler::session::Session;
use crate::types::Pid;

/// Says before the recording what may make it worth less.
pub fn warn(session: &Session) {
    let interpreter = &session.reader.found.interpreter;
    let version = interpreter.version;
    match interpreter.support {
        Support::Known => {}
        Support::Untested if interpreter.layout.free_threaded => {
            say(format_args!(
                "fpprof: warning: free-threaded builds of CPython, as this {version}, are not tested on every release"
            ));
        }
        Support::Untested => say(format_args!(
            "fpprof: warning: CPython {version} is newer than this fpprof: its debug offsets are used as those of the newest \
             known version"
        )),
    }
}

/// Says where the recording is until the output is whole. A terminal that is held (Ctrl-S) does not hold up what follows.
pub fn say_where(recording: &Path, output: Option<&Path>) {
    let until = output.map_or_else(String::new, |output| format!(" until {} is whole", output.display()));
    let text = format!("fpprof: what is recorded is kept in {}{until}", recording.display());
    if io::stderr().is_terminal() {
        thread::spawn(move || say(text));
    } else {
        say(text);
    }
}

/// The failure, and where what was recorded is found.
pub fn kept(failure: Failure, recording: Option<&Path>) -> Failure {
    let Some(recording) = recording else { return failure };
    let recording = recording.display();
    failure.and_hint(&format!("What was recorded is in {recording}: `fpprof report` opens it."))
}

/// Tells the user where the output is and what it is worth.
pub fn print(ended: &Ended, facts: &RecordingFacts, output: &OutputFile, kind: OutputKind) {
    match ended {
        Ended::TimeOver | Ended::Signal => {}
        Ended::TargetGone => say(format_args!("fpprof: the target has ended")),
        Ended::Replaced(program) => {
            let program = program.as_deref().unwrap_or("a program");
            say(format_args!("fpprof: the target has replaced itself by {program}, which cannot be recorded"));
        }
    }
    if let Some(path) = output.path() {
        say(format_args!("fpprof: wrote {}: open it with {}", path.display(), kind.viewer()));
    }
    // First, for it is what the rest is worth.
    let few = facts.few_samples();
    for line in few.iter().chain(facts.summary_lines().iter().filter(|line| Some(*line) != few.as_ref())) {
        say(format_args!("  {line}"));
    }
}

/// Says how a program which we have started was ended when its time was over, or that it goes on all the same.
pub fn print_ended_by(program: &str, pid: Pid, signal: Signal, status: Option<ExitStatus>) {
    match status {
        Some(status) => say(format_args!("fpprof: the time is over: `{program}` was ended by {signal} ({status})")),
        None => say(format_args!("fpprof: `{program}` does not end by {signal}: `kill -9 {pid}` ends it")),
    }
}

/// Says that a program which we have started has not ended with its recording.
pub fn print_runs_on(program: &str, pid: Pid) {
    say(format_args!("fpprof: `{program}` runs on as process {pid}: `kill {pid}` ends it"));
}
