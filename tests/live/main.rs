//! Live tests: real interpreters, held in known shapes.
//!
//! What is compared is always independent of fpprof: gdb for native frames, the interpreter's own word for Python's.

#[path = "../support/allowed_calls.rs"]
mod allowed_calls;
#[path = "../support/extension.rs"]
mod extension;
#[path = "../support/frozen.rs"]
mod frozen_target;
#[path = "../support/gdb.rs"]
mod gdb;
#[path = "../support/interpreters.rs"]
mod interpreters;
#[path = "../support/patience.rs"]
mod patience;
#[path = "../support/reading.rs"]
mod reading;
#[path = "../support/target.rs"]
mod target;
#[path = "../support/truth.rs"]
mod truth;
#[path = "../support/waiting_calls.rs"]
mod waiting_calls;

mod binaries;
mod blocked;
mod deep;
mod equality;
mod frozen;
mod library;
mod many_threads;
mod modes;
mod reads;
mod replaced_code;
mod replaced_module;
mod rig;
mod running;
mod short_lived;
mod spinning;
mod states;
mod thread_names;
mod undisturbed;
mod without_tables;
