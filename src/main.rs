//! The `fpprof` program: parse, run, exit code. The only place that exits.

use std::process::ExitCode;

use clap::Parser;
use fpprof::cli::{self, args::Cli};

fn main() -> ExitCode {
    match cli::run(&Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code)
        }
    }
}
