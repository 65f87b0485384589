//! Memory -> [`stack::PythonStack`]. Pure: no system call, no file, no `unsafe`.

pub mod stack;
