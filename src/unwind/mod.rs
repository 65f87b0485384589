//! Registers + memory + mappings -> [`stack::NativeStack`]. Pure: no system call, no file, no `unsafe`.
//!
//! Every step out of a frame is by the unwind rule of its program counter, so that it is exact; cheapest first:
//!
//! 1. [`cache`]: the rule, seen before. Where it is the frame record of code that keeps frame pointers, the step is two
//!    loads from the frame pointer, and does not wait for the rule.
//! 2. [`module`]: the rule, looked up in the module's `.eh_frame`; evaluated with all registers where it needs them.
//!
//! Where a thread was not stopped and a register is not known, what it is for is found by [`x86_64::blocked`] or
//! [`aarch64::blocked`]; [`without_cfi`] leaves the frames of code that has no tables, by [`return_path`].
//!
//! What belongs to one architecture only (register numbers, the compact rule, the step) is in its folder, behind
//! [`architecture::Architecture`]. All of them are compiled everywhere: a saved thread can come from another machine.

pub mod aarch64;
pub mod address_space;
pub mod architecture;
pub mod cache;
pub mod code_bytes;
pub mod evaluate;
pub mod frame_pointers;
pub mod index;
pub mod module;
pub mod registers;
pub mod return_path;
pub mod sections;
pub mod stack;
pub mod step;
pub mod symbolic;
pub mod walk;
pub mod without_cfi;
pub mod x86_64;

#[cfg(test)]
#[path = "../../tests/support/eh_frame.rs"]
mod eh_frame_writer;
#[cfg(test)]
mod in_memory;
