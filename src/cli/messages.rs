//! What fpprof says to people on standard error.
//!
//! Does: write it, line by line, with nothing in it that a terminal obeys or that changes how it is read: names, paths and command lines are in it, and anybody can
//! choose those. A terminal that is gone stops nothing. Does not: word it.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use super::failure::Failure;
use crate::profile::clean::neutral;

/// Says something, on one line.
pub fn say(text: impl Display) {
    let text = text.to_string();
    let _ = writeln!(io::stderr(), "{}", neutral(&text));
}

/// Some names in one text: the first ones, so many at the most.
pub fn listed(names: &[String], most: usize) -> String {
    let more = if names.len() > most { ", …" } else { "" };
    format!("{}{more}", names.get(..most).unwrap_or(names).join(", "))
}

/// Says what went wrong and what to do.
pub fn say_failure(failure: &Failure) {
    say(format_args!("fpprof: {}", failure.message));
    for line in failure.hint.lines() {
        say(format_args!("  {line}"));
    }
}

/// Says what is wrong with the command line, or shows the help that it asks for. Returns what to exit with.
pub fn say_parsed(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        // Without clap's colours: what it was given is among them.
        error.render().to_string().lines().for_each(say);
    } else {
        // Nothing in a help is from elsewhere. A reader that has had enough is no error.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
