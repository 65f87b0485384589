//! Memory -> [`stack::PythonStack`]. Pure: no system call, no file, no `unsafe`.
//!
//! [`runtime`] recognises a CPython and picks its [`layout`]; [`threads`] lists its thread states; [`frames`] walks one
//! thread's [`chain`] of frames; [`code`] and [`line_table`] say what a frame's code object is called and which line runs;
//! [`locals`] and [`values`] say what its variables hold.

pub mod attributes;
pub mod chain;
pub mod code;
pub mod frames;
pub mod gil;
mod integers;
pub mod layout;
pub mod line_table;
pub mod locals;
pub mod runtime;
pub mod stack;
pub mod strings;
pub mod thread_names;
pub mod threads;
mod type_flags;
pub mod values;
