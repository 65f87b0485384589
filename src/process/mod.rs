//! What is known of one process over time, and how its threads are read.

pub mod binaries;
pub mod code_space;
pub mod copies;
pub mod durations;
pub mod find;
pub mod module_marks;
pub mod new_codes;
pub mod plan;
pub mod pthreads;
pub mod reader;
pub mod reading;
pub mod stops;
pub mod thread;
pub mod thread_states;
