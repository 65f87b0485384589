//! What is x86-64 only: register numbers, the compact unwind rule, and the steps out of a frame.
//!
//! Does: everything that knows rsp, rbp or the psABI. Does not: look rules up. Compiled on every architecture.

pub mod call_site;
pub mod evaluate;
pub mod registers;
pub mod rule;
pub mod step;
pub mod symbolic;
pub mod way_out;
