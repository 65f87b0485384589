//! `fpprof completions` and `fpprof man`: what packages install beside the program.
//!
//! Does: make both from the declared command line, so that they say what it does. Does not: install anything.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::args::Cli;
use super::failure::Failure;
use super::standard_output;

/// `fpprof completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fpprof completions bash >/usr/share/bash-completion/completions/fpprof\n  \
    fpprof completions zsh >/usr/share/zsh/vendor-completions/_fpprof\n  fpprof completions fish >~/.config/fish/completions/fpprof.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `fpprof man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  fpprof man /usr/share/man/man1")]
pub struct ManArgs {
    /// The folder: a page of each command goes there, fpprof.1, fpprof-record.1, …
    pub folder: PathBuf,
}

/// Runs `fpprof completions`.
///
/// # Errors
/// That standard output cannot be written.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fpprof", &mut script);
    standard_output::print(&String::from_utf8_lossy(&script))?;
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
