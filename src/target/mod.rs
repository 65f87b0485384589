//! WHO: the process as the operating system shows it.

pub mod memory;
