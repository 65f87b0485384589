//! The `fpprof` program: parse, run, exit code. The only place that exits.

use std::process::ExitCode;

use clap::Parser;
use fpprof::cli::args::Cli;
use fpprof::cli::{self, messages};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return messages::say_parsed(&error),
    };
    match cli::run(&cli) {
        Ok(code) => code,
        Err(failure) => {
            messages::say_failure(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}
