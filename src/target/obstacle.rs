//! What stands in the way of tracing a process, and what the user can do.
//!
//! Does: word it. Does not: find it out ([`access`](super::access) does).

use std::fmt;

use crate::types::Pid;

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The process is fpprof itself.
    Itself,
    /// Another program traces the process.
    TracedBy {
        /// The tracer.
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
    /// The process belongs to another user, or has kept another's id.
    OtherUser {
        /// The target's user id.
        target: u32,
        /// Ours.
        ours: u32,
    },
    /// The process runs with another group, or has kept another's id.
    OtherGroup {
        /// The target's group id.
        target: u32,
        /// Ours.
        ours: u32,
    },
    /// The process is not dumpable (`PR_SET_DUMPABLE`).
    Undumpable,
    /// The process has capabilities that fpprof has not.
    MoreCapable,
    /// We are root without `CAP_SYS_PTRACE`: what a container's default settings do.
    RootWithoutCapability,
    /// None of these.
    Unknown(Unexplained),
}

/// What may be behind a refusal that nothing of [`Obstacle`] explains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unexplained {
    /// Whether a seccomp filter judges our system calls.
    pub filters_system_calls: bool,
    /// Whether we are in a user namespace other than the system's first: outside of it our capabilities count for nothing.
    pub in_user_namespace: bool,
    /// The profile of a security module that confines us.
    pub security_module: Option<String>,
}

impl Obstacle {
    /// What the user can do.
    pub fn remedy(&self) -> String {
        match self {
            Obstacle::Itself => "`pgrep -af python` lists the Python processes.".to_owned(),
            Obstacle::TracedBy { .. } => {
                "A process has at most one tracer at a time, and this one has not let go for half a second: end that program, or have it \
                 detach, and try again."
                    .to_owned()
            }
            Obstacle::YamaNever => {
                "kernel.yama.ptrace_scope is 3, which only a reboot with another setting changes.".to_owned()
            }
            Obstacle::YamaAdmin => {
                "Run fpprof as root (`sudo fpprof …`), or give it the capability: `sudo setcap cap_sys_ptrace=ep $(which fpprof)`."
                    .to_owned()
            }
            Obstacle::YamaDescendants => {
                "Let fpprof start the program (`fpprof record -- python3 …`), run it as root (`sudo fpprof …`), or allow \
                 it until the next reboot: `sudo sysctl kernel.yama.ptrace_scope=0`."
                    .to_owned()
            }
            Obstacle::OtherUser { .. } => {
                "Run fpprof as that user or as root: `sudo fpprof …`. In a container, add the capability SYS_PTRACE.".to_owned()
            }
            Obstacle::OtherGroup { target, .. } => format!(
                "Run fpprof with that group (`setpriv --regid {target} --init-groups fpprof …`, in a container `--user UID:{target}`), or as \
                 root: `sudo fpprof …`."
            ),
            Obstacle::Undumpable => {
                "A program that has changed its user, or was started with the rights of another or from a file that it may not read, is not \
                 dumpable, nor is one that has asked for it (prctl(PR_SET_DUMPABLE)). Run fpprof as root (`sudo fpprof …`); in a container, \
                 add the capability SYS_PTRACE."
                    .to_owned()
            }
            Obstacle::MoreCapable => {
                "Run fpprof as root (`sudo fpprof …`); in a container, add the capability SYS_PTRACE.".to_owned()
            }
            Obstacle::RootWithoutCapability => {
                "In a container, add the capability: `docker run --cap-add SYS_PTRACE …` (podman: the same); in \
                 Kubernetes, `securityContext: {capabilities: {add: [SYS_PTRACE]}}`."
                    .to_owned()
            }
            Obstacle::Unknown(unexplained) => unexplained.remedy(),
        }
    }
}

impl Unexplained {
    /// What the user can look at, the likeliest first.
    fn remedy(&self) -> String {
        let module = self.security_module.as_ref().map(|profile| {
            format!("fpprof is confined by the AppArmor profile `{profile}`: run it with `--security-opt apparmor=unconfined`.")
        });
        let filter = self.filters_system_calls.then(|| {
            "A seccomp profile filters fpprof's system calls: allow ptrace and process_vm_readv, or run it with `--security-opt \
             seccomp=unconfined`."
                .to_owned()
        });
        let namespace = self.in_user_namespace.then(|| {
            "fpprof is in a user namespace, outside of which its capabilities count for nothing: run it where the process was started, or as \
             root of the machine."
                .to_owned()
        });
        let rest = "A tracer outside of fpprof's pid namespace may hold the process, or a security module (SELinux, Landlock) may forbid it: \
                    `journalctl -k` and `ausearch -m avc` tell of the latter."
            .to_owned();
        module.into_iter().chain(filter).chain(namespace).chain([rest]).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Itself => write!(f, "it is fpprof itself"),
            Obstacle::TracedBy { tracer, name: Some(name) } => write!(f, "it is traced by {name} (process {tracer})"),
            Obstacle::TracedBy { tracer, name: None } => write!(f, "it is traced by process {tracer}"),
            Obstacle::YamaNever | Obstacle::YamaAdmin | Obstacle::YamaDescendants => {
                write!(f, "the system's Yama setting (kernel.yama.ptrace_scope) forbids it")
            }
            Obstacle::OtherUser { target, ours } => {
                write!(f, "it belongs to user {target}, and fpprof runs as user {ours}")
            }
            Obstacle::OtherGroup { target, ours } => {
                write!(f, "it runs with group {target}, and fpprof with group {ours}")
            }
            Obstacle::Undumpable => write!(f, "it is not dumpable, and fpprof lacks the capability CAP_SYS_PTRACE"),
            Obstacle::MoreCapable => {
                write!(f, "it has capabilities that fpprof has not, and fpprof lacks CAP_SYS_PTRACE")
            }
            Obstacle::RootWithoutCapability => {
                write!(f, "fpprof runs as root, but without the capability CAP_SYS_PTRACE")
            }
            Obstacle::Unknown(unexplained) => match (&unexplained.security_module, unexplained.filters_system_calls) {
                (None, false) if unexplained.in_user_namespace => {
                    write!(f, "it seems to be outside of fpprof's user namespace")
                }
                (None, false) => {
                    write!(f, "the kernel refuses it, and neither users, groups, capabilities nor Yama are why")
                }
                _ => write!(f, "a security module or a seccomp profile forbids it"),
            },
        }
    }
}
