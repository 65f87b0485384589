//! What is known of one process over time, and how its threads are read.

pub mod batched_memory;
pub mod binaries;
pub mod code_space;
pub mod durations;
pub mod find;
mod kept_pages;
pub mod module_marks;
pub mod native_reader;
pub mod new_code_objects;
pub mod plan;
pub mod pthreads;
pub mod read_around;
pub mod reader;
pub mod reading;
pub mod sleep_mark;
pub mod stack_entries;
pub mod stops;
pub mod thread;
pub mod thread_names;
pub mod thread_states;
