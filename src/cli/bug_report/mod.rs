//! `fpprof bug-report`: what whoever mends a bug needs, in one file, without secrets.
//!
//! Does: put together what this build and this machine are, what `fpprof doctor` says of the process, or why it says nothing, and
//! one of its stacks, redacted. Does not: hold values, arguments, environments, contents of the stack, or names of users.

pub mod args;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::value::RawValue;

use self::args::BugReportArgs;
use super::doctor::examine::Report;
use super::doctor::{self, snapshot};
use super::failure::Failure;
use super::memory_args::MemoryArgs;
use super::messages::say;
use super::opening;
use super::record::output_file::{OutputFile, default_name};
use super::standard_output::document;
use super::version::{BUILD, Build};
use crate::sampler::mode::Mode;
use crate::sampler::session::Session;
use crate::snapshot::redact::hide_home_folders;
use crate::target::host::{Host, distribution};
use crate::types::{Pid, Tid};

/// Fields may be added to a version; one that is taken away or changes its meaning makes the next.
const VERSION: u32 = 1;
/// What a reader of the file shall know of it.
const WHAT: &str = "For a bug report of fpprof. It holds names of functions and files, and no values, arguments, environment, contents of \
the stack, or names of users. Look at it before you share it.";
/// Where bugs are reported.
const ISSUES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

#[derive(Serialize)]
struct Content<'a> {
    what: &'static str,
    build: Build,
    host: Host,
    target_distribution: Option<String>,
    doctor: doctor::json::Content<'a>,
    snapshot: Option<Box<RawValue>>,
    no_snapshot: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// That the report cannot be written. That the process cannot be read is a thing to report.
pub fn run(args: &BugReportArgs) -> Result<ExitCode, Failure> {
    MemoryArgs { max_memory: None }.apply_beside_a_target();
    let path = args.output.clone().unwrap_or_else(|| default_output(args.pid));
    let mut output = OutputFile::open(&path, args.force)?.private(true);
    let session = args.pid.map(|pid| opening::attach(Pid(pid), Mode::Wall, &AtomicBool::new(false)));
    let text = match session {
        Some(Ok(session)) => of_process(session, args.thread.map(Tid)),
        Some(Err(failure)) => {
            write(doctor::json::Content::failed(&failure), None, Err("the process cannot be read".into()))
        }
        None => write(doctor::json::Content::default(), None, Err("no process was named".into())),
    };
    output.write(|writer| writer.write_all(text.as_bytes()))?;
    if let Some(path) = output.path() {
        let path = path.display().to_string();
        let size = text.len().div_ceil(1000);
        say(format_args!("fpprof: wrote {path} ({size} kB): look at it, and attach it to an issue at {ISSUES}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn of_process(mut session: Session, thread: Option<Tid>) -> String {
    let mut report = Report::of_process(&session);
    if let Some(process) = &mut report.process {
        // Arguments can be passwords.
        process.command = session.identity().program_name();
    }
    let distribution = distribution(&session.reader.root());
    let snapshot = snapshot::choose(&mut session, thread).and_then(|(_, saved)| {
        let redacted =
            saved.replay.redacted().ok_or("without the contents of its stack, the thread's stack cannot be found")?;
        Ok(redacted.to_json())
    });
    write(doctor::json::Content::of(&report), distribution, snapshot)
}

fn write(
    doctor: doctor::json::Content<'_>,
    target_distribution: Option<String>,
    snapshot: Result<String, String>,
) -> String {
    let raw = |json: String| RawValue::from_string(json).map_err(|error| error.to_string());
    let (snapshot, no_snapshot) = match snapshot.and_then(raw) {
        Ok(snapshot) => (Some(snapshot), None),
        Err(why) => (None, Some(why)),
    };
    let content =
        Content { what: WHAT, build: BUILD, host: Host::this(), target_distribution, doctor, snapshot, no_snapshot };
    let mut text = document("fpprof bug-report", VERSION, &content).into_bytes();
    hide_home_folders(&mut text);
    // A name of letters is replaced by one of letters, byte by byte.
    String::from_utf8(text).unwrap_or_default()
}

fn default_output(pid: Option<i32>) -> PathBuf {
    default_name("fpprof-bug-report", Pid(pid.unwrap_or_default()), SystemTime::now(), "json")
}
