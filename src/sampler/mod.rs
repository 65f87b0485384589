//! The clock, the choice of threads, and the journey of each sample from capture to merged stack.

pub mod budget;
pub mod clock;
pub mod code_space;
pub mod codes;
pub mod copies;
pub mod durations;
pub mod find;
pub mod journey;
pub mod module_marks;
pub mod native_walk;
pub mod new_codes;
pub mod observe;
pub mod open;
pub mod plan;
pub mod pthreads;
pub mod reader;
pub mod run_state;
pub mod sample;
pub mod session;
pub mod settled;
pub mod snapshot;
pub mod statistics;
pub mod thread_history;
pub mod thread_states;
pub mod time_slice;
pub mod transfers;
