//! What several test programs need: the interpreters to test, and parked Python programs to read.
#![allow(dead_code, reason = "each test program uses a part")]

pub mod interpreters;
pub mod locate;
pub mod parked;
