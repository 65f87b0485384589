//! Getting hold of what a command line names: a process, several, or a program to start.
//!
//! Does: it once for all commands, and words what goes wrong. Does not: wait or look itself (`sampler::open`, `sampler::follower`).

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::messages::{listed, say};
use super::process_args::{FollowArgs, ProcessArgs};
use super::refusal;
use crate::process::find::OpenError;
use crate::python::runtime::RuntimeError;
use crate::sampler::follower::{Followed, Follower, find_now};
use crate::sampler::mode::Mode;
use crate::sampler::open::{self, AttachError};
use crate::sampler::session::Session;
use crate::target::launch::{Launched, ProgramOutput};
use crate::target::selection::Selection;
use crate::target::view::Identity;
use crate::types::Pid;

/// A program that is Python itself has started it by then; one that starts Python takes longer.
const BEFORE_CHILDREN: Duration = Duration::from_millis(200);
/// How long processes that are there may take to be found.
const FIND_LIMIT: Duration = Duration::from_secs(3);
/// So many processes are named where one is to be chosen.
const MAX_NAMED: usize = 8;
/// How long a program that is no Python itself may take to show its children.
const CHILDREN_LIMIT: Duration = Duration::from_millis(300);
/// How often to look meanwhile whether to give up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A target that is open.
#[derive(Debug)]
pub struct Opened {
    /// What samples it, or the first of several.
    pub session: Session,
    /// Who finds the others.
    pub follower: Option<Follower>,
    /// The program, if we have started it.
    pub launched: Option<Launched>,
}

/// Opens a process, several, or a program that is started once Python has started in it.
///
/// # Errors
/// Why it cannot be read or started, and what to do.
pub fn open(
    (pid, follow_args): (Option<i32>, &FollowArgs),
    (program, output): (&[OsString], ProgramOutput),
    mode: Mode,
    stop: &AtomicBool,
) -> Result<Opened, Failure> {
    let pid = pid.map(Pid);
    let selection = follow_args.selection(pid)?;
    let FollowArgs { processes, wait } = follow_args;
    if !program.is_empty() {
        let mut launched = Launched::start(program, output).map_err(|error| refusal::launch(&error))?;
        // Only now, for a program that we start inherits the limit.
        open::raise_open_files_limit();
        let (session, follower) =
            open_launched(&mut launched, program, (processes.subprocesses, selection), mode, stop)?;
        return Ok(Opened { session, follower, launched: Some(launched) });
    }
    let Some(pid) = pid.filter(|_| !processes.is_open()) else {
        if !processes.is_open() {
            return Err(Failure::new("there is no target")
                .with_hint("Name a process, `--pid PID`, or a program to start, `-- python3 app.py`."));
        }
        open::raise_open_files_limit();
        let mut follower = follow(selection, mode, None, *wait)?;
        let session = wait_for_first(&mut follower, *wait, stop)?;
        return Ok(Opened { session, follower: Some(follower), launched: None });
    };
    if !processes.subprocesses {
        return Ok(Opened { session: attach(pid, mode, stop)?, follower: None, launched: None });
    }
    let (session, follower) = match attach_itself(pid, mode, stop) {
        Ok(session) => {
            let follower = follow(selection, mode, Some(&session), false)?;
            (session, follower)
        }
        // A shell, or a launcher: what it has started is taken, however many that are.
        Err(error) if not_python(&error).is_some() => {
            let mut follower = follow(selection, mode, None, false)?;
            (wait_for_first(&mut follower, false, stop)?, follower)
        }
        Err(error) => return Err(refusal::attach(&error)),
    };
    warn_of_root(&session);
    Ok(Opened { session, follower: Some(follower), launched: None })
}

fn attach_itself(pid: Pid, mode: Mode, stop: &AtomicBool) -> Result<Session, AttachError> {
    open::raise_open_files_limit();
    open::attach(pid, mode, stop)
}

/// The process that an error is about, where it runs no Python.
fn not_python(error: &AttachError) -> Option<&Identity> {
    match error {
        AttachError::Unreadable { process, error: OpenError::Interpreter(RuntimeError::NotPython) } => {
            Some(&process.identity)
        }
        _ => None,
    }
}

/// Opens a process, or the one Python that it has started where it is none itself.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub fn attach(pid: Pid, mode: Mode, stop: &AtomicBool) -> Result<Session, Failure> {
    let error = match attach_itself(pid, mode, stop) {
        Ok(session) => {
            warn_of_root(&session);
            return Ok(session);
        }
        Err(error) => error,
    };
    let Some(process) = not_python(&error) else { return Err(refusal::attach(&error)) };
    let mut follower = follow(Selection::tree(pid), mode, None, false)?;
    let (mut children, start) = (Vec::new(), Instant::now());
    // On a busy machine the first looks take longer.
    while start.elapsed() < CHILDREN_LIMIT || !follower.has_looked() && start.elapsed() < FIND_LIMIT {
        children.extend(follower.wait(LOOK_EVERY));
    }
    let program = process.program_name();
    if children.len() > 1 {
        let pids: Vec<String> = children.iter().map(|found| found.session.identity().pid.to_string()).collect();
        return Err(Failure::new(format_args!(
            "process {pid} ({program}) is no Python itself, and has started several: {}",
            listed(&pids, MAX_NAMED)
        ))
        .with_hint(format!(
            "`--pid {pid} --subprocesses` takes all of them, `--pid` with one of these numbers that one."
        )));
    }
    let found = children.pop().ok_or_else(|| refusal::attach(&error))?;
    say_whose_child(&program, &found.session);
    warn_of_root(&found.session);
    Ok(found.session)
}

/// Opens all processes that are chosen and run Python now, to be looked at once; and tells what became of the others.
///
/// # Errors
/// That there is none, and why.
pub fn all_now(processes: &ProcessArgs, pid: Option<i32>) -> Result<(Vec<Session>, Followed), Failure> {
    let selection = processes.selection(pid.map(Pid))?;
    open::raise_open_files_limit();
    let (sessions, followed) = find_now(&selection, Mode::Wall).map_err(|error| refusal::no_thread(&error))?;
    if sessions.is_empty() { Err(refusal::none_found(&followed)) } else { Ok((sessions, followed)) }
}

/// Waits until Python has started in a program, or in one that it starts.
fn open_launched(
    launched: &mut Launched,
    program: &[OsString],
    (all, selection): (bool, Selection),
    mode: Mode,
    stop: &AtomicBool,
) -> Result<(Session, Option<Follower>), Failure> {
    let (pid, start) = (launched.pid(), Instant::now());
    let selection = Selection { pids: vec![pid], descendants: true, ..selection };
    let mut follower = if all { Some(follow(selection.clone(), mode, None, false)?) } else { None };
    let mut no_thread = None;
    let other = &mut || {
        if follower.is_none() && start.elapsed() >= BEFORE_CHILDREN && no_thread.is_none() {
            match follow(selection.clone(), mode, None, false) {
                Ok(started) => follower = Some(started),
                Err(error) => no_thread = Some(error),
            }
        }
        follower.as_mut()?.found().map(|found| found.session)
    };
    // Who follows finds the program itself, too: it is to be one session.
    let opened = open::launched(launched, (!all).then_some(mode), stop, other);
    let name = program_name(program);
    let session = opened.map_err(|error| refusal::launched(&error, &name))?;
    if session.identity().pid != pid && !all {
        say_whose_child(&name, &session);
    }
    Ok((session, follower.filter(|_| all)))
}

fn say_whose_child(program: &str, child: &Session) {
    let identity = child.identity();
    say(format_args!(
        "fpprof: `{program}` has started Python as process {}, {}: that is taken, and all that it starts with --subprocesses",
        identity.pid,
        identity.program_name()
    ));
}

/// Follows the chosen processes, beside one that is open.
fn follow(selection: Selection, mode: Mode, open: Option<&Session>, waits: bool) -> Result<Follower, Failure> {
    let binaries = open.map_or_else(Arc::default, |session| Arc::clone(&session.reader.space.binaries));
    let open: Vec<&Identity> = open.map(Session::identity).into_iter().collect();
    Follower::start(selection, mode, binaries, &open, waits).map_err(|error| refusal::no_thread(&error))
}

/// The first of the processes that are chosen.
fn wait_for_first(follower: &mut Follower, waits: bool, stop: &AtomicBool) -> Result<Session, Failure> {
    let start = Instant::now();
    loop {
        if let Some(found) = follower.wait(LOOK_EVERY) {
            return Ok(found.session);
        }
        if stop.load(Ordering::Relaxed) {
            return Err(refusal::interrupted_waiting());
        }
        // Who is held up by one process gets to the others in a while.
        let limit = if follower.has_looked() { FIND_LIMIT } else { FIND_LIMIT * 10 };
        if !waits && (start.elapsed() >= limit || !follower.may_find_more()) {
            return Err(refusal::none_found(&follower.end()));
        }
    }
}

/// Warns where the files of a process are out of reach.
fn warn_of_root(session: &Session) {
    if let Some(why) = session.reader.root().refusal() {
        let pid = session.identity().pid;
        say(format_args!(
            "fpprof: warning: the root directory of process {pid} cannot be followed ({why}): its sources, perf map and debug files are not read, \
             and its libraries only where /proc/{pid}/map_files or its memory has them"
        ));
    }
}

/// What a program to start is called.
pub fn program_name(program: &[OsString]) -> String {
    program.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
