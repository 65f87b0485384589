//! `fpprof dump`: what every thread of a process does, once.
//!
//! Does: the order of things: get hold of the process, look once, name, write.
//! Does not: any of them itself.

pub mod args;
mod json;
mod look;
mod text;

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use self::args::DumpArgs;
use self::look::{Dump, View};
use super::failure::Failure;
use super::{open, standard_output};
use crate::sampler::session::Mode;
use crate::types::Pid;

/// Runs the command.
///
/// # Errors
/// Why the process cannot be read, or the text not be written.
pub fn run(args: &DumpArgs) -> Result<ExitCode, Failure> {
    open::raise_open_files_limit();
    // Ctrl-C ends this process at once: nothing is lost by that.
    let session = open::attach(Pid(args.pid), Mode::Wall, &AtomicBool::new(false))?;
    let dump = Dump::take(
        session,
        View { native: args.native.frames(), lines: args.lines, full_filenames: args.full_filenames || args.json },
    );
    let text = if args.json { json::write(&dump) } else { text::write(&dump, args.color.style()) };
    standard_output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
