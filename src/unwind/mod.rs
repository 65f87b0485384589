//! Registers + memory + mappings -> [`stack::NativeStack`]. Pure: no system call, no file, no `unsafe`.

pub mod stack;
