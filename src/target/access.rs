//! Why a process may not be looked at, and what would allow it.
//!
//! Does: tell the user, Yama, a missing capability and a container's settings apart, by the kernel's own order of
//! checks (ptrace(2), "Ptrace access mode checking"; Documentation/admin-guide/LSM/Yama.rst).
//! Does not: try to attach, or change a setting.

use std::fmt;
use std::fs;

use super::process::read_status;
use crate::types::Pid;

/// `CAP_SYS_PTRACE` (linux/capability.h).
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Another program traces the process.
    TracedBy {
        /// The tracer; 0 when it is outside our pid namespace.
        tracer: Pid,
        /// Its name, if it could be read.
        name: Option<String>,
    },
    /// Yama forbids tracing altogether (`ptrace_scope` 3).
    YamaNever,
    /// Yama asks for `CAP_SYS_PTRACE` (`ptrace_scope` 2).
    YamaAdmin,
    /// Yama allows only our own descendants (`ptrace_scope` 1).
    YamaDescendants,
    /// The process belongs to another user.
    OtherUser {
        /// The target's effective user id.
        target: u32,
        /// Ours.
        ours: u32,
    },
    /// We are root without `CAP_SYS_PTRACE`: what a container's default settings do.
    RootWithoutCapability,
    /// None of these: a program that is set-uid or has made itself undumpable, a seccomp filter, another security
    /// module.
    Unknown,
}

/// Finds out why `pid` may not be traced by this process.
pub fn diagnose(pid: Pid) -> Obstacle {
    let target = read_status(pid);
    let ours = read_status(Pid(std::process::id() as i32));
    let (Some(target), Some(ours)) = (target, ours) else { return Obstacle::Unknown };
    if target.tracer.0 != 0 {
        // The kernel names the thread that traces, its user knows the process.
        let tracer = read_status(target.tracer).map_or(target.tracer, |thread| thread.thread_group);
        return Obstacle::TracedBy { tracer, name: read_status(tracer).map(|status| status.name) };
    }
    let capable = ours.effective_capabilities & CAP_SYS_PTRACE != 0;
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    obstacle(yama.as_deref().map_or(0, yama_scope), capable, target.effective_uid, ours.effective_uid)
}

fn yama_scope(text: &str) -> u32 {
    text.trim().parse().unwrap_or(0)
}

fn obstacle(yama: u32, capable: bool, target: u32, ours: u32) -> Obstacle {
    match (yama, capable) {
        (3, _) => Obstacle::YamaNever,
        (_, true) => Obstacle::Unknown,
        _ if ours == 0 => Obstacle::RootWithoutCapability,
        _ if target != ours => Obstacle::OtherUser { target, ours },
        (2, _) => Obstacle::YamaAdmin,
        (1, _) => Obstacle::YamaDescendants,
        _ => Obstacle::Unknown,
    }
}

impl Obstacle {
    /// What the user can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Obstacle::TracedBy { .. } => {
                "A process has at most one tracer at a time, and this one has not let go for half a second: end that program, or have it \
                 detach, and try again."
            }
            Obstacle::YamaNever => "kernel.yama.ptrace_scope is 3, which only a reboot with another setting changes.",
            Obstacle::YamaAdmin => {
                "Run fpprof as root (`sudo fpprof …`), or give it the capability: `sudo setcap cap_sys_ptrace=ep $(which fpprof)`."
            }
            Obstacle::YamaDescendants => {
                "Let fpprof start the program (`fpprof record -- python3 …`), run it as root (`sudo fpprof …`), or allow \
                 it until the next reboot: `sudo sysctl kernel.yama.ptrace_scope=0`."
            }
            Obstacle::OtherUser { .. } => "Run fpprof as that user or as root: `sudo fpprof …`.",
            Obstacle::RootWithoutCapability => {
                "In a container, add the capability: `docker run --cap-add SYS_PTRACE …` (podman: the same); in \
                 Kubernetes, `securityContext: {capabilities: {add: [SYS_PTRACE]}}`."
            }
            Obstacle::Unknown => {
                "Run fpprof as root (`sudo fpprof …`). In a container, add the capability (`--cap-add SYS_PTRACE`) and, \
                 where a seccomp profile filters ptrace, `--security-opt seccomp=unconfined`."
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::TracedBy { tracer, name: Some(name) } => write!(f, "it is traced by {name} (process {tracer})"),
            Obstacle::TracedBy { tracer, name: None } => write!(f, "it is traced by process {tracer}"),
            Obstacle::YamaNever | Obstacle::YamaAdmin | Obstacle::YamaDescendants => {
                write!(f, "the system's Yama setting (kernel.yama.ptrace_scope) forbids it")
            }
            Obstacle::OtherUser { target, ours } => {
                write!(f, "it belongs to user {target}, and fpprof runs as user {ours}")
            }
            Obstacle::RootWithoutCapability => {
                write!(f, "fpprof runs as root, but without the capability CAP_SYS_PTRACE")
            }
            Obstacle::Unknown => write!(f, "the system does not permit it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_check_that_fails_is_named() {
        assert_eq!(obstacle(3, true, 0, 0), Obstacle::YamaNever);
        assert_eq!(obstacle(2, false, 1000, 1000), Obstacle::YamaAdmin);
        assert_eq!(obstacle(1, false, 1000, 1000), Obstacle::YamaDescendants);
        assert_eq!(obstacle(1, false, 0, 1000), Obstacle::OtherUser { target: 0, ours: 1000 });
        assert_eq!(obstacle(0, false, 1000, 0), Obstacle::RootWithoutCapability);
        assert_eq!(obstacle(1, true, 1000, 0), Obstacle::Unknown);
    }
}
