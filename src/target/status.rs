//! `/proc/PID/status`, parsed: who a process is and who may look at it.
//!
//! Does: take the few lines that decide whether a process can be profiled. Source: proc_pid_status(5).
//! Does not: read the file, or judge what the lines mean.

use crate::types::Pid;

/// The state letter of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Running, or waiting for a CPU.
    Running,
    /// Sleeping or idle.
    Blocked,
    /// Sleeping where no signal wakes it: mostly for a disk.
    Uninterruptible,
    /// Stopped by a signal, or by a tracer.
    Stopped,
    /// Dead, and not yet waited for by its parent.
    Zombie,
    /// Gone.
    Dead,
}

/// The user ids of a task, or its group ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Whose task it is.
    pub real: u32,
    /// As whom it acts.
    pub effective: u32,
    /// As whom it may act again.
    pub saved: u32,
}

impl Ids {
    /// Whether there is no other than this one.
    pub fn are_all(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved] == [id; 3]
    }
}

/// What `/proc/PID/status` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The task's name (`comm`).
    pub name: String,
    /// Its state.
    pub state: TaskState,
    /// The thread group: the process to which a thread belongs.
    pub thread_group: Pid,
    /// The thread that traces it, or 0.
    pub tracer: Pid,
    /// Its users.
    pub uids: Ids,
    /// Its groups, without the supplementary ones.
    pub gids: Ids,
    /// The capabilities that it may make effective, as the kernel's bit mask.
    pub permitted_capabilities: u64,
    /// The effective capabilities.
    pub effective_capabilities: u64,
    /// Whether a seccomp filter judges its system calls.
    pub filters_system_calls: bool,
    /// Its id in each nested pid namespace, outermost (ours) first.
    pub namespace_ids: Vec<i32>,
    /// Whether it is a kernel thread.
    pub kernel_thread: bool,
}

impl TaskState {
    /// The state that a letter of `/proc/PID/status` or `/proc/PID/stat` stands for.
    pub fn of_letter(letter: u8) -> TaskState {
        match letter {
            b'R' => TaskState::Running,
            b'Z' => TaskState::Zombie,
            b'X' | b'x' => TaskState::Dead,
            b'D' => TaskState::Uninterruptible,
            b'T' | b't' => TaskState::Stopped,
            _ => TaskState::Blocked,
        }
    }

    /// Whether it has ended: it is a zombie, as a first thread that ends before the others stays one, or gone.
    pub fn has_ended(self) -> bool {
        matches!(self, TaskState::Zombie | TaskState::Dead)
    }
}

impl Status {
    /// Whether the task has ended: see [`TaskState::has_ended`].
    pub fn has_ended(&self) -> bool {
        self.state.has_ended()
    }

    /// Parses the contents of the file; `None` when a line that is always there is not.
    pub fn parse(text: &str) -> Option<Status> {
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let first_number = |name: &str, index: usize| field(name)?.split_whitespace().nth(index)?.parse().ok();
        let ids = |name: &str| {
            let mut numbers = field(name)?.split_whitespace().map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some(Ids { real: next()?, effective: next()?, saved: next()? })
        };
        let mask = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
        Some(Status {
            name: field("Name")?.to_owned(),
            state: TaskState::of_letter(field("State")?.bytes().next()?),
            thread_group: Pid(first_number("Tgid", 0)?),
            tracer: Pid(first_number("TracerPid", 0)?),
            uids: ids("Uid")?,
            gids: ids("Gid")?,
            permitted_capabilities: mask("CapPrm")?,
            effective_capabilities: mask("CapEff")?,
            // SECCOMP_MODE_FILTER (linux/seccomp.h).
            filters_system_calls: field("Seccomp") == Some("2"),
            namespace_ids: field("NSpid").unwrap_or("").split_whitespace().filter_map(|n| n.parse().ok()).collect(),
            kernel_thread: field("Kthread") == Some("1"),
        })
    }

    /// The id in the innermost pid namespace: what the process calls itself.
    pub fn innermost_id(&self) -> Option<i32> {
        self.namespace_ids.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tpython3\nState:\tS (sleeping)\nTgid:\t41\nPid:\t42\nTracerPid:\t7\n\
        Uid:\t1000\t1001\t1002\t1000\nGid:\t5\t5\t5\t5\nNSpid:\t42\t3\nKthread:\t0\n\
        CapPrm:\t00000000000800ff\nCapEff:\t0000000000080000\nSeccomp:\t2\n";

    #[test]
    fn the_lines_that_matter_are_taken() {
        let status = Status::parse(STATUS).unwrap();
        assert_eq!((status.name.as_str(), status.state), ("python3", TaskState::Blocked));
        assert_eq!((status.thread_group, status.tracer), (Pid(41), Pid(7)));
        assert_eq!(status.uids, Ids { real: 1000, effective: 1001, saved: 1002 });
        assert!(status.gids.are_all(5) && !status.uids.are_all(1000) && status.filters_system_calls);
        assert_eq!((status.innermost_id(), status.effective_capabilities), (Some(3), 1 << 19));
        assert_eq!(status.permitted_capabilities, 1 << 19 | 0xff);
        assert!(!status.kernel_thread);
    }

    #[test]
    fn a_kernel_without_the_newer_lines_is_understood() {
        let older = STATUS.replace("Kthread:\t0\n", "").replace("NSpid:\t42\t3\n", "");
        let status = Status::parse(&older).unwrap();
        assert_eq!((status.kernel_thread, status.innermost_id()), (false, None));
    }

    #[test]
    fn a_stopped_task_is_no_sleeping_one() {
        let state = |letter| Status::parse(&STATUS.replace("S (sleeping)", letter)).unwrap().state;
        assert_eq!([state("T (stopped)"), state("t (tracing stop)")], [TaskState::Stopped; 2]);
        assert_eq!(state("D (disk sleep)"), TaskState::Uninterruptible);
    }

    #[test]
    fn a_zombie_is_one_and_garbage_is_nothing() {
        assert_eq!(Status::parse(&STATUS.replace("S (sleeping)", "Z (zombie)")).unwrap().state, TaskState::Zombie);
        for garbage in ["", "Name:", "\u{0}\u{0}", "State:\tR\nTgid:\tx\n"] {
            assert_eq!(Status::parse(garbage), None);
        }
    }
}
