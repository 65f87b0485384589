//! The recording loop: one target, from the first tick to the last.
//!
//! [`record`](recorder::record) ticks, follows a target that replaces its program, and tells an
//! [`Observer`](plan::Observer) how far it is. Each [`Program`](program::Program) of the target counts its stacks; a
//! [`Stream`](stream::Stream) writes samples to a file while they come. The commands only start it and show what came of it.

mod children;
mod endings;
pub mod facts;
mod given_ids;
pub mod interim;
mod names;
pub mod naming;
pub mod origin;
pub mod pending;
pub mod plan;
pub mod program;
pub mod recorder;
pub mod requests;
pub mod sampling_loop;
pub mod sources;
pub mod stream;
pub mod throttling;
pub mod time_spent;
pub mod window;
