//! `fpprof doctor`: what fpprof can see of a process, and why.
//!
//! Does: the order of things: get hold of the target, examine it, write.
//! Does not: any of them itself.

mod advice;
pub mod args;
mod examine;
mod json;
mod module;
mod text;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use self::args::DoctorArgs;
use self::examine::Report;
use super::failure::Failure;
use super::standard_output::print;
use super::{open, refusal};
use crate::sampler::session::{Mode, Session};
use crate::target::launch::{Launched, ProgramOutput};
use crate::types::Pid;

/// How long a program that is started may load its libraries.
const LOADS_FOR: Duration = Duration::from_secs(1);
/// How often its mappings are looked at meanwhile: a program can end before the time is over.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs the command.
///
/// # Errors
/// Why there is nothing to examine. With `--json`, that is written, too.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut launched = None;
    let report = match (args.pid, &args.file) {
        (Some(pid), _) => attach(pid),
        (None, Some(file)) => examine_file(file),
        (None, None) => start(args, &mut launched),
    };
    let report = match report {
        Err(failure) if args.json => {
            print(&json::failure(&failure))?;
            return Err(failure);
        }
        other => other?,
    };
    print(&if args.json { json::write(&report) } else { text::write(&report, args.color.style()) })?;
    if let Some(mut launched) = launched
        && launched.status().is_none()
    {
        let pid = launched.pid();
        eprintln!("fpprof: the program runs on as process {pid}: `kill {pid}` ends it");
    }
    Ok(ExitCode::SUCCESS)
}

fn attach(pid: i32) -> Result<Report, Failure> {
    // Ctrl-C ends this process at once: nothing is lost by that.
    let session = open::attach(Pid(pid), Mode::Wall, &AtomicBool::new(false))?;
    Ok(Report::of_process(&session))
}

fn examine_file(path: &Path) -> Result<Report, Failure> {
    Report::of_file(path).map_err(|error| {
        Failure::new(format_args!("{} cannot be examined: {error}", path.display()))
            .with_hint("Give a 64-bit ELF program or library, or a program to start: `fpprof doctor -- python3 …`.")
    })
}

fn start(args: &DoctorArgs, launched: &mut Option<Launched>) -> Result<Report, Failure> {
    let started = Launched::start(&args.program, ProgramOutput::ToStandardError);
    let program = launched.insert(started.map_err(|error| refusal::launch(&error))?);
    let name = args.program.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut session = open::launched(program, &name, Mode::Wall, &AtomicBool::new(false))?;
    wait_for_libraries(&mut session, program);
    Ok(Report::of_process(&session))
}

/// Modules that were seen stay known when the program ends.
fn wait_for_libraries(session: &mut Session, program: &mut Launched) {
    let since = Instant::now();
    while since.elapsed() < LOADS_FOR && program.status().is_none() {
        thread::sleep(LOOK_EVERY);
        session.reader.follow_mappings();
    }
}
