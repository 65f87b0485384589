//! The command line: arguments in, messages and an exit code out.
//!
//! Does: everything that a user sees of a run. Does not: exit; `main` does.

pub mod args;
pub mod bug_report;
pub mod diff;
pub mod doctor;
pub mod dump;
pub mod failure;
mod folder_args;
pub mod install;
mod live_line;
mod memory_args;
pub mod messages;
mod opening;
pub mod output_kind;
mod process_args;
mod record;
pub mod record_args;
mod refusal;
mod report;
pub mod report_args;
pub mod shown_args;
mod standard_output;
mod style;
pub mod top;
pub mod values;
mod version;

use std::process::ExitCode;

use args::{Cli, Command};
use failure::Failure;

/// Runs what the command line asks for.
///
/// # Errors
/// What to tell the user.
pub fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    record::signals::heed_file_size_limit()?;
    let result = match &cli.command {
        Command::Record(args) => record::run(args),
        Command::Dump(args) => dump::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::BugReport(args) => bug_report::run(args),
        Command::Report(args) => report::run(args),
        Command::Completions(args) => install::completions(args),
        Command::Man(args) => install::man(args),
        Command::Diff(args) => diff::run(args),
        Command::Top(args) => top::run(args),
    };
    memory_args::tell_left_out();
    result
}
