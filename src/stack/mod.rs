//! The order of the pure stages, and what comes out of them: the frames of a sample.

pub mod code_cache;
pub mod frame;
pub mod journey;
pub mod moment;
pub mod native_walk;
