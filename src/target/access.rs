//! Why a process may not be looked at, and what would allow it.
//!
//! Does: tell the checks apart that the kernel makes before it lets one process trace another, in the kernel's own order
//! (ptrace(2), "Ptrace access mode checking"; `__ptrace_may_access` and `ptrace_attach` in kernel/ptrace.c; `cap_ptrace_access_check` in
//! security/commoncap.c; Documentation/admin-guide/LSM/Yama.rst).
//! Does not: try to attach, change a setting, or word what it finds ([`obstacle`](super::obstacle) does).

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::credentials::has_all_ids;
use super::obstacle::{Obstacle, Unexplained};
use super::process::read_status;
use super::status::{Ids, Status};
use crate::types::Pid;

/// `CAP_SYS_PTRACE` (linux/capability.h).
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// Finds out why `pid` may not be traced by this process.
pub fn diagnose(pid: Pid) -> Obstacle {
    let own = Pid(std::process::id().cast_signed());
    if pid == own {
        return Obstacle::Itself;
    }
    let (Some(target), Some(ours)) = (read_status(pid), read_status(own)) else {
        return Obstacle::Unknown(Unexplained::default());
    };
    if target.tracer.0 != 0 {
        // The kernel names the thread that traces, its user knows the process.
        let tracer = read_status(target.tracer).map_or(target.tracer, |thread| thread.thread_group);
        return Obstacle::TracedBy { tracer, name: read_status(tracer).map(|status| status.name) };
    }
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    let system = System {
        yama: yama.as_deref().map_or(0, yama_scope),
        owner: fs::metadata(format!("/proc/{pid}/status")).ok().map(|metadata| metadata.uid()),
        in_user_namespace: fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !has_all_ids(&map)),
        security_module: fs::read_to_string("/proc/self/attr/current").ok().and_then(|label| confinement(&label)),
    };
    obstacle(&target, &ours, system)
}

/// What of the system decides, beside the two processes.
#[derive(Debug, Clone, Default)]
struct System {
    /// `kernel.yama.ptrace_scope`.
    yama: u32,
    /// Who owns the target's files in `/proc`: root where the target is not dumpable. Its folder itself stays its user's (`task_dump_owner`
    /// in fs/proc/base.c).
    owner: Option<u32>,
    /// Whether we are in a user namespace other than the system's first.
    in_user_namespace: bool,
    /// What confines us, by its own name.
    security_module: Option<String>,
}

fn yama_scope(text: &str) -> u32 {
    text.trim().parse().unwrap_or(0)
}

/// AppArmor's word on a process that it confines, `docker-default (enforce)`; SELinux' has the form of a context, and tells nothing.
fn confinement(label: &str) -> Option<String> {
    let label = label.trim_end_matches(['\0', '\n']);
    label.ends_with(" (enforce)").then(|| label.to_owned())
}

fn obstacle(target: &Status, ours: &Status, system: System) -> Obstacle {
    let unknown = Unexplained {
        filters_system_calls: ours.filters_system_calls,
        in_user_namespace: system.in_user_namespace,
        security_module: system.security_module,
    };
    if system.yama >= 3 {
        return Obstacle::YamaNever;
    }
    if ours.effective_capabilities & CAP_SYS_PTRACE != 0 {
        return Obstacle::Unknown(unknown);
    }
    // PTRACE_SEIZE compares the caller's real ids with all three of the target's.
    let is_root = ours.uids.real == 0;
    if !target.uids.are_all(ours.uids.real) {
        return match is_root {
            true => Obstacle::RootWithoutCapability,
            false => Obstacle::OtherUser { target: other(target.uids, ours.uids.real), ours: ours.uids.real },
        };
    }
    if !target.gids.are_all(ours.gids.real) {
        return Obstacle::OtherGroup { target: other(target.gids, ours.gids.real), ours: ours.gids.real };
    }
    if system.owner.is_some_and(|owner| owner != target.uids.effective) {
        return Obstacle::Undumpable;
    }
    if target.permitted_capabilities & !ours.permitted_capabilities != 0 {
        return if is_root { Obstacle::RootWithoutCapability } else { Obstacle::MoreCapable };
    }
    match system.yama {
        2 => Obstacle::YamaAdmin,
        1 => Obstacle::YamaDescendants,
        // The files of who is root are root's in any case.
        _ if is_root => Obstacle::RootWithoutCapability,
        _ => Obstacle::Unknown(unknown),
    }
}

/// The first of a process's ids that is not ours.
fn other(ids: Ids, ours: u32) -> u32 {
    [ids.effective, ids.real, ids.saved].into_iter().find(|id| *id != ours).unwrap_or(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: u32 = 1000;

    fn process(uid: u32, gid: u32) -> Status {
        let ids = |id| format!("{id}\t{id}\t{id}\t{id}");
        let text = format!(
            "Name:\tx\nState:\tR\nTgid:\t1\nTracerPid:\t0\nUid:\t{}\nGid:\t{}\nCapPrm:\t0\nCapEff:\t0\nSeccomp:\t0\n",
            ids(uid),
            ids(gid)
        );
        Status::parse(&text).unwrap()
    }

    fn capable(uid: u32) -> Status {
        Status { effective_capabilities: CAP_SYS_PTRACE, permitted_capabilities: CAP_SYS_PTRACE, ..process(uid, uid) }
    }

    fn system(yama: u32, owner: u32) -> System {
        System { yama, owner: Some(owner), ..System::default() }
    }

    #[test]
    fn the_first_check_that_fails_is_named() {
        let own = process(USER, USER);
        let nothing = Obstacle::Unknown(Unexplained::default());
        let cases = [
            (process(0, 0), capable(0), system(3, 0), Obstacle::YamaNever),
            (process(USER, USER), capable(0), system(2, 0), nothing.clone()),
            (process(0, 0), own.clone(), system(1, 0), Obstacle::OtherUser { target: 0, ours: USER }),
            (process(USER, USER), process(0, 0), system(1, USER), Obstacle::RootWithoutCapability),
            (process(USER, 5), own.clone(), system(1, USER), Obstacle::OtherGroup { target: 5, ours: USER }),
            (process(USER, USER), own.clone(), system(1, 0), Obstacle::Undumpable),
            (capable(USER), own.clone(), system(1, USER), Obstacle::MoreCapable),
            (process(USER, USER), own.clone(), system(2, USER), Obstacle::YamaAdmin),
            (process(USER, USER), own.clone(), system(1, USER), Obstacle::YamaDescendants),
            (process(0, 0), process(0, 0), system(0, 0), Obstacle::RootWithoutCapability),
            (process(USER, USER), own, system(0, USER), nothing),
        ];
        for (target, ours, system, expected) in cases {
            assert_eq!(obstacle(&target, &ours, system.clone()), expected, "{target:?} by {ours:?} on {system:?}");
        }
    }

    #[test]
    fn a_program_that_has_kept_a_user_is_of_that_one_too() {
        let mut target = process(USER, USER);
        target.uids.saved = 0;
        let expected = Obstacle::OtherUser { target: 0, ours: USER };
        assert_eq!(obstacle(&target, &process(USER, USER), system(0, USER)), expected);
    }

    #[test]
    fn what_may_be_behind_the_rest_is_kept() {
        let ours = Status { filters_system_calls: true, ..capable(0) };
        let security_module = confinement("docker-default (enforce)\n");
        let system = System { in_user_namespace: true, security_module: security_module.clone(), ..system(0, 0) };
        let unexplained = Unexplained { filters_system_calls: true, in_user_namespace: true, security_module };
        assert_eq!(obstacle(&process(USER, USER), &ours, system), Obstacle::Unknown(unexplained));
        assert_eq!(["unconfined\n", "system_u:system_r:container_t:s0\0", ""].map(confinement), [const { None }; 3]);
    }

    #[test]
    fn the_first_user_namespace_maps_all_ids_to_themselves() {
        assert!(has_all_ids("         0          0 4294967295\n"));
        assert!(!has_all_ids("         0     100000      65536\n") && !has_all_ids(""));
    }

    #[test]
    fn this_process_cannot_be_traced_by_itself() {
        assert_eq!(diagnose(Pid(std::process::id().cast_signed())), Obstacle::Itself);
    }
}
