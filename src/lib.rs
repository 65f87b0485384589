//! fpprof: an out-of-process, frame-pointer sampling profiler for CPython on Linux.
//!
//! The folders are the pipeline, in the order in which a sample moves through them:
//!
//! ```text
//!  target ─▶ capture ─▶ unwind ─▶ python ─▶ merge ─▶ sampler ─▶ profile ─▶ symbolize ─▶ output
//!   who       when      native    Python     one      the        counted     names        SVG,
//!                       frames    frames    stack     clock      stacks                   text
//!                      └────────── stack ─────────┘
//!            └─────────────── process ────────────┘
//! ```
//!
//! `stack` is the order of the pure stages, `process` what is known of one process over time, `snapshot` one thread at one
//! moment in a file.
//!
//! `record` is the loop that takes them through it, `report` what is made of a recording later, `cli` the commands.
//!
//! A folder imports only from those before it and from [`types`]. `docs/architecture.md` follows one
//! sample through all of them and states the invariants; `tests/structure` enforces both.

pub mod types;

pub mod target;

pub mod capture;

pub mod unwind;

pub mod python;

pub mod merge;

pub mod stack;

pub mod process;

pub mod snapshot;

pub mod sampler;

pub mod profile;

pub mod symbolize;

pub mod output;

pub mod report;

pub mod record;

pub mod cli;
