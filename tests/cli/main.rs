//! The command as its users meet it: the real binary, on real processes.
//!
//! What is promised of every failure is checked by every test of one: an exit code that is not 0, a message with a hint,
//! no file left behind, and a target that runs on and is not traced.

#[allow(dead_code, reason = "the extension's files are enough here")]
#[path = "../support/extension.rs"]
mod extension;
#[allow(dead_code, reason = "what runs is enough here, not its version")]
#[path = "../support/interpreters.rs"]
mod interpreters;

mod processes;
mod python;
mod run;

mod accuracy;
mod bad_targets;
mod debugger;
mod endings;
mod launching;
mod memory;
mod outputs;
mod permissions;
mod signals;
mod switches;
mod terminal;
