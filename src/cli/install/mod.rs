//! `fpprof completions` and `fpprof man`: what packages install beside the program.
//!
//! Does: make both from the declared command line, so that they say what it does. Does not: install anything.

pub mod args;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;

use self::args::{CompletionsArgs, ManArgs};
use super::args::Cli;
use super::failure::Failure;
use super::standard_output;
use super::style::Style;

/// Runs `fpprof completions`.
///
/// # Errors
/// That standard output cannot be written.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fpprof", &mut script);
    standard_output::print(&String::from_utf8_lossy(&script), Style::PLAIN)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `fpprof man`.
///
/// # Errors
/// That the pages cannot be written.
pub fn man(args: &ManArgs) -> Result<ExitCode, Failure> {
    write_pages(&args.folder).map_err(|error| {
        Failure::new(format_args!("the pages cannot be written to {}: {error}", args.folder.display()))
            .with_hint("Give a folder that is there and can be written.")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write_pages(folder: &Path) -> io::Result<()> {
    // The pages are of a version, not of one build of it.
    clap_mangen::generate_to(Cli::command().long_version(env!("CARGO_PKG_VERSION")), folder)
}
