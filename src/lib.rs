//! fpprof: an out-of-process, frame-pointer sampling profiler for CPython on Linux.
//!
//! What the library promises is on this page: [`attach`], [`Recorder`], [`Profile`], and what they take and return. It follows
//! semantic versioning. Everything else is public for the `fpprof` command, its tests and its benchmarks, is hidden here, and can
//! change with any release.
//!
//! # How it is built
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
//! A folder imports only from those before it and from `types`. `docs/architecture.md` follows one
//! sample through all of them and states the invariants; `tests/structure` enforces both.

mod library;

pub use library::{Error, Format, Mode, Process, Profile, Recorder, Stack, attach};

#[doc(hidden)]
pub mod types;

#[doc(hidden)]
pub mod target;

#[doc(hidden)]
pub mod capture;

#[doc(hidden)]
pub mod unwind;

#[doc(hidden)]
pub mod python;

#[doc(hidden)]
pub mod merge;

#[doc(hidden)]
pub mod stack;

#[doc(hidden)]
pub mod process;

#[doc(hidden)]
pub mod snapshot;

#[doc(hidden)]
pub mod sampler;

#[doc(hidden)]
pub mod profile;

#[doc(hidden)]
pub mod symbolize;

#[doc(hidden)]
pub mod output;

#[doc(hidden)]
pub mod report;

#[doc(hidden)]
pub mod record;

#[doc(hidden)]
pub mod cli;
