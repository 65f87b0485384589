//! What a recording is, in memory: counted stacks of interned frames, and the facts that say how good it is.
//!
//! Does: hold and describe. Does not: sample, look names up, or write files.

pub mod bounded;
pub mod clean;
pub mod comparison;
pub mod counted;
pub mod facts;
pub mod frame;
pub mod kind;
pub mod named;
pub mod nameless;
pub mod packed_samples;
pub mod paths;
pub mod processes;
pub mod recording;
pub mod role;
pub mod samples;
pub mod sources;
pub mod steps;
pub mod time_kind;
pub mod timeline;
pub mod tree;

/// A recording that can be shown: stacks of named frames, outermost first, and how often each was seen.
pub type Profile = tree::StackTree<frame::Frame>;
