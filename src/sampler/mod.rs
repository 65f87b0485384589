//! The clock, the choice of threads, and the journey of each sample from capture to merged stack.

pub mod clock;
