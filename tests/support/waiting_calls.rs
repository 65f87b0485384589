//! The numbers of the system calls in which the C library waits, where they are not the same everywhere.
//!
//! AArch64 has only the newer of two calls that do the same (asm-generic/unistd.h), and pause(2) is made of ppoll(2) there.

#[cfg(target_arch = "x86_64")]
mod older {
    pub const POLL: &[i64] = &[libc::SYS_poll, libc::SYS_ppoll];
    pub const EPOLL: &[i64] = &[libc::SYS_epoll_wait, libc::SYS_epoll_pwait];
    pub const SELECT: &[i64] = &[libc::SYS_select, libc::SYS_pselect6];
    pub const PAUSE: &[i64] = &[libc::SYS_pause];
}

#[cfg(not(target_arch = "x86_64"))]
mod older {
    pub const POLL: &[i64] = &[libc::SYS_ppoll];
    pub const EPOLL: &[i64] = &[libc::SYS_epoll_pwait];
    pub const SELECT: &[i64] = &[libc::SYS_pselect6];
    pub const PAUSE: &[i64] = &[libc::SYS_ppoll];
}

pub use older::{EPOLL, PAUSE, POLL, SELECT};
