//! Registers + memory + mappings -> [`stack::NativeStack`]. Pure: no system call, no file, no `unsafe`.
//!
//! Every step out of a frame is by the unwind rule of its program counter, so that it is exact; cheapest first:
//!
//! 1. [`cache`]: the rule, seen before. Where it is the frame record of code that keeps frame pointers, the step is two
//!    loads from the frame pointer, and does not wait for the rule.
//! 2. [`module`]: the rule, looked up in the module's `.eh_frame`; evaluated with all registers where it needs them.
//!
//! Where a thread was not stopped and a register is not known, what it is for is found by [`x86_64::blocked`] or
//! [`aarch64::blocked`]; [`without_cfi`] leaves the frames of code that has no tables, by [`return_path`] and
//! [`callers`].
//!
//! What belongs to one architecture only is in its folder, behind [`architecture::Architecture`]; the same job has the same
//! file name in each. All of them are compiled everywhere: a saved thread can come from another machine.
//!
//! | file | job | x86-64's own | AArch64's own |
//! |---|---|---|---|
//! | `registers` | DWARF numbers | | |
//! | `rule`, `step` | the compact rule, and the step out of a frame by it | | `signal`: the frame of a signal, which has no tables |
//! | `instruction`, `effect` | which instructions are branches, and what the others do | | |
//! | `return_path` | how code without tables returns | | |
//! | `blocked` | what a thread that was not stopped does not show | `call_site`: how large a frame is at a call | |
//! | `linkage` | where an entry of the procedure linkage table leads | | |

pub mod aarch64;
pub mod address_space;
pub mod architecture;
pub mod cache;
pub mod callers;
pub mod code_bytes;
pub mod code_window;
pub mod evaluate;
pub mod far_code;
pub mod frame_pointers;
pub mod index;
pub mod linkage;
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
