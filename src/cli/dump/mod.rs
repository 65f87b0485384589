//! `fpprof dump`: what every thread of a process does, once; or did, when its core file or its snapshot was written.
//!
//! Does: the order of things: get hold of the process, the core file or the snapshot, look once, name, write.
//! Does not: any of them itself.

pub mod args;
mod core_file;
pub mod json;
pub mod look;
mod saved;
mod text;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use self::args::DumpArgs;
use self::look::{Dump, DumpOptions};
use super::failure::Failure;
use super::messages::say;
use super::{opening, refusal, standard_output};
use crate::profile::facts::stops::WHY_SLEEPERS;
use crate::sampler::mode::Mode;
use crate::types::Pid;

/// Runs the command.
///
/// # Errors
/// Why the process or the snapshot cannot be read, or the text not be written.
pub fn run(args: &DumpArgs) -> Result<ExitCode, Failure> {
    args.memory.apply_beside_a_target();
    let view = DumpOptions { native: args.native, lines: args.lines, full_filenames: args.full_filenames || args.json };
    if args.processes.is_several() {
        return several(args, view);
    }
    let dump = match (args.pid, &args.core, &args.from) {
        (Some(pid), ..) => look(Pid(pid), view, args.locals)?,
        (None, Some(core), _) => core_file::dump(core, args, view)?,
        (None, None, from) => saved::dump(from.as_deref().unwrap_or(Path::new("")), view)?,
    };
    show(&dump, args)?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at all processes that are chosen, one after the other.
fn several(args: &DumpArgs, view: DumpOptions) -> Result<ExitCode, Failure> {
    let (sessions, followed) = opening::all_now(&args.processes, args.pid)?;
    for (number, mut session) in sessions.into_iter().enumerate() {
        if number > 0 && !args.json {
            standard_output::print_with(|out| out.write_all(b"\n"))?;
        }
        if args.locals {
            session.reader.read_locals();
        }
        show(&Dump::take(session, view), args)?;
    }
    refusal::say_refused(&followed, "is not shown");
    Ok(ExitCode::SUCCESS)
}

fn show(dump: &Dump, args: &DumpArgs) -> Result<(), Failure> {
    if dump.sleepers_stopped > 0 {
        say(format_args!(
            "fpprof: blocked threads were stopped for a moment to be read ({}): {WHY_SLEEPERS}",
            dump.sleepers_stopped
        ));
    }
    if let Some(not_read) = &dump.not_read {
        say(format_args!("fpprof: warning: names: {not_read}"));
    }
    match args.json {
        true => standard_output::print_with(|out| json::write(dump, out)),
        false => standard_output::print_with(|out| text::write(dump, args.color.style(), out)),
    }
}

fn look(pid: Pid, view: DumpOptions, locals: bool) -> Result<Dump, Failure> {
    // Ctrl-C ends this process at once: nothing is lost by that.
    let mut session = opening::attach(pid, Mode::Wall, &AtomicBool::new(false))?;
    if locals {
        session.reader.read_locals();
    }
    Ok(Dump::take(session, view))
}
