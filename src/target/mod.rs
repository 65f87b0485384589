//! WHO: the process as the operating system shows it.

pub mod access;
mod acl;
pub mod cgroup;
pub mod containers;
pub mod core;
pub mod cpu_quota;
mod credentials;
pub mod descriptors;
pub mod elf;
pub mod elf_files;
pub mod eyes;
pub mod gone;
pub mod host;
pub mod launch;
pub mod live;
pub mod living;
pub mod maps;
pub mod memory;
pub mod memory_budget;
pub mod modules;
pub mod obstacle;
pub mod own;
mod permission;
pub mod process;
pub mod process_memory;
pub mod process_table;
pub mod registers;
pub mod root;
pub mod selection;
pub mod shared_memory;
mod small_file;
pub mod status;
pub mod system_calls;
pub mod threads;
pub mod view;

#[cfg(target_arch = "aarch64")]
pub use system_calls::aarch64 as native_system_calls;
#[cfg(target_arch = "x86_64")]
pub use system_calls::x86_64 as native_system_calls;

/// The ELF machine number of programs that this build can profile (`EM_X86_64`, `EM_AARCH64`; elf.h).
#[cfg(target_arch = "x86_64")]
pub const NATIVE_MACHINE: u16 = 62;
/// The ELF machine number of programs that this build can profile (`EM_X86_64`, `EM_AARCH64`; elf.h).
#[cfg(target_arch = "aarch64")]
pub const NATIVE_MACHINE: u16 = 183;
