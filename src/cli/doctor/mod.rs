//! `fpprof doctor`: what fpprof can see of a process, and why.
//!
//! Does: the order of things: get hold of the target, examine it, write.
//! Does not: any of them itself.

mod advice;
pub mod args;
pub mod examine;
pub mod json;
mod module;
pub(super) mod snapshot;
mod text;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use self::args::DoctorArgs;
use self::examine::Report;
use super::failure::Failure;
use super::messages::say;
use super::opening::{self, Opened};
use super::process_args::FollowArgs;
use super::record::output_file::OutputFile;
use super::refusal;
use super::standard_output::print;
use super::style::Style;
use crate::sampler::mode::Mode;
use crate::sampler::session::Session;
use crate::target::launch::{Launched, ProgramOutput};
use crate::target::threads::Thread;
use crate::types::{Pid, Tid};

/// A program that is started has loaded its libraries when it has loaded none for so long, beside what it has waited for a CPU,
/// or, where starting takes longer than that, for as long as it took to come to the last one,
const LOADS_NONE_FOR: Duration = Duration::from_secs(1);
/// or has had so long for it since its interpreter was found.
const LOADS_FOR: Duration = Duration::from_secs(10);
/// How often its mappings are looked at meanwhile: a program can end before the time is over.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs the command.
///
/// # Errors
/// Why there is nothing to examine. With `--json`, that is written, too.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    args.memory.apply_beside_a_target();
    if args.processes.is_several() {
        return several(args);
    }
    let mut output = args
        .snapshot
        .as_deref()
        .map(|path| OutputFile::open(path, args.force))
        .transpose()?
        .map(|output| output.private(true));
    let mut launched = None;
    let examined = match (args.pid, &args.file) {
        (Some(pid), _) => attach(pid).map(of_process),
        (None, Some(file)) => examine_file(file).map(|report| (report, None)),
        (None, None) => start(args, &mut launched).map(of_process),
    };
    let (report, session) = match examined {
        Err(failure) if args.json => {
            print(&json::failure(&failure), Style::PLAIN)?;
            return Err(failure);
        }
        other => other?,
    };
    let style = if args.json { Style::PLAIN } else { args.color.style() };
    print(&if args.json { json::write(&report) } else { text::write(&report, style) }, style)?;
    let saved = match (session, &mut output) {
        (Some(mut session), Some(output)) => snapshot::save(&mut session, args.thread.map(Tid), output),
        _ => Ok(()),
    };
    if let Some(mut launched) = launched
        && launched.status().is_none()
    {
        let pid = launched.pid();
        say(format_args!("fpprof: the program runs on as process {pid}: `kill {pid}` ends it"));
    }
    saved.map(|()| ExitCode::SUCCESS)
}

/// Examines all processes that are chosen, one after the other.
fn several(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let (sessions, followed) = opening::all_now(&args.processes, args.pid)?;
    let style = if args.json { Style::PLAIN } else { args.color.style() };
    for (number, session) in sessions.iter().enumerate() {
        let report = Report::of_process(session);
        let between = if number > 0 && !args.json { "\n" } else { "" };
        let text = if args.json { json::write(&report) } else { text::write(&report, style) };
        print(&format!("{between}{text}"), style)?;
    }
    refusal::say_refused(&followed, "is not examined");
    Ok(ExitCode::SUCCESS)
}

fn of_process(session: Session) -> (Report, Option<Session>) {
    (Report::of_process(&session), Some(session))
}

fn attach(pid: i32) -> Result<Session, Failure> {
    // Ctrl-C ends this process at once: nothing is lost by that.
    opening::attach(Pid(pid), Mode::Wall, &AtomicBool::new(false))
}

fn examine_file(path: &Path) -> Result<Report, Failure> {
    Report::of_file(path).map_err(|error| {
        Failure::new(format_args!("{} cannot be examined: {error}", path.display()))
            .with_hint("Give a 64-bit ELF program or library, or a program to start: `fpprof doctor -- python3 …`.")
    })
}

fn start(args: &DoctorArgs, launched: &mut Option<Launched>) -> Result<Session, Failure> {
    let begin = Instant::now();
    let program = (&*args.program, ProgramOutput::ToStandardError);
    let opened = opening::open((None, &FollowArgs::default()), program, Mode::Wall, &AtomicBool::new(false))?;
    let Opened { mut session, launched: started, .. } = opened;
    *launched = started;
    if let Some(program) = launched {
        wait_for_libraries(&mut session, program, begin);
    }
    Ok(session)
}

/// Modules that were seen stay known when the program, which was started at `begin`, ends.
fn wait_for_libraries(session: &mut Session, program: &mut Launched, begin: Instant) {
    let found = Instant::now();
    let main = Thread::open(program.pid(), Tid(program.pid().0)).ok();
    let waited = || {
        let schedule = main.as_ref().and_then(Thread::schedule).unwrap_or_default();
        Duration::from_nanos(schedule.waited.0)
    };
    let (mut last, mut waited_till_then, mut loaded) = (found, waited(), 0);
    let loads_on = |last: Instant, waited_till_then| {
        let not_let = waited().saturating_sub(waited_till_then);
        last.elapsed() < LOADS_NONE_FOR.max(last - begin) + not_let
    };
    while loads_on(last, waited_till_then) && found.elapsed() < LOADS_FOR && program.status().is_none() {
        thread::sleep(LOOK_EVERY);
        session.reader.follow_mappings();
        let now = session.reader.space.modules.list().len();
        if now != loaded {
            (last, waited_till_then, loaded) = (Instant::now(), waited(), now);
        }
    }
}
