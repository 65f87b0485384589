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
#[allow(dead_code, reason = "how long to wait is enough here")]
#[path = "../support/patience.rs"]
mod patience;

#[allow(dead_code, reason = "a target that is looked at is not let go to its end")]
#[path = "../support/target.rs"]
mod target;
#[allow(dead_code, reason = "frames are enough here, not evaluations")]
#[path = "../support/truth.rs"]
mod truth;
#[allow(dead_code, unused_imports, reason = "targets are parked in one of the calls only")]
#[path = "../support/waiting_calls.rs"]
mod waiting_calls;

mod cores;
mod executables;
mod eyes;
mod processes;
mod python;
mod run;

mod accuracy;
mod bad_targets;
mod bug_report;
mod cgroups;
mod core_files;
mod crowds;
mod daemons;
mod debugger;
mod diff;
mod doctor;
mod dump;
mod endings;
#[cfg(target_arch = "x86_64")]
mod greenlets;
#[cfg(target_arch = "x86_64")]
mod held_memory;
mod in_words;
mod install;
mod kept;
mod launching;
mod locals;
mod many_processes;
mod max_memory;
mod max_memory_beside;
mod memory;
mod moved_code;
mod names;
mod namespaces;
mod odd_processes;
#[cfg(target_arch = "x86_64")]
mod openssl;
mod outputs;
mod pending_stops;
mod permissions;
mod pools;
mod recordings;
mod reused_ids;
mod servers;
mod sidecar;
mod signals;
mod snapshots;
mod switches;
mod system_calls;
mod terminal;
mod thread_names;
mod top;
mod two_profilers;
