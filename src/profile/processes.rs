//! The processes of a recording, and how they are told apart in it.
//!
//! Does: say which process a program is of, and with which frame its stacks begin. Does not: know a process.

use super::frame::Frame;
use super::role::role;
use crate::types::Pid;

/// With what stacks begin, where a recording is of several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessLabels {
    /// Each with its process.
    #[default]
    Each,
    /// Each with its process's role: those of one role are one.
    Merged,
}

/// A process, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShownProcess {
    /// Its id; absent where it was not recorded.
    pub pid: Option<Pid>,
    /// How many other processes of the recording had that id before it.
    pub again: u32,
    /// What it is to its users.
    pub role: String,
}

impl ShownProcess {
    /// The process of a program with this command line.
    pub fn new((pid, again): (Option<Pid>, u32), command: Option<&str>) -> ShownProcess {
        ShownProcess { pid, again, role: role(command.unwrap_or_default()) }
    }

    /// `ROLE (PID)`, and `ROLE (PID #2)` of the second one with that id.
    pub fn name(&self) -> String {
        match self.pid {
            Some(pid) if self.again > 0 => format!("{} ({pid} #{})", self.role, u64::from(self.again) + 1),
            Some(pid) => format!("{} ({pid})", self.role),
            None => self.role.clone(),
        }
    }

    /// Whether it is the first that has this id.
    pub fn is_first_with(&self, pid: Pid) -> bool {
        self.pid == Some(pid) && self.again == 0
    }

    /// The frame with which its stacks begin.
    pub fn frame(&self, labels: ProcessLabels) -> Frame {
        match labels {
            ProcessLabels::Each => Frame::process(&self.name()),
            ProcessLabels::Merged => Frame::process(&self.role),
        }
    }
}

/// Whether programs are of several processes: of several ids, or of several that had one.
pub fn are_several(mut processes: impl Iterator<Item = (Option<Pid>, u32)>) -> bool {
    let first = processes.next();
    first.is_some_and(|first| processes.any(|process| process != first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_can_have_several_programs() {
        let pids = |list: &[i32]| list.iter().map(|pid| (Some(Pid(*pid)), 0)).collect::<Vec<_>>();
        for (list, expected) in [(&[][..], false), (&[1], false), (&[1, 1, 1], false), (&[1, 1, 2], true)] {
            assert_eq!(are_several(pids(list).into_iter()), expected, "{list:?}");
        }
        assert!(are_several([(Some(Pid(1)), 0), (Some(Pid(1)), 1)].into_iter()), "one id, and two processes");
    }

    #[test]
    fn merged_processes_have_their_role_alone() {
        let names = |again| {
            let process = ShownProcess::new((Some(Pid(7)), again), Some("python3 app.py"));
            [ProcessLabels::Each, ProcessLabels::Merged].map(|labels| process.frame(labels).name.to_string())
        };
        assert_eq!(names(0), ["app.py (7)", "app.py"]);
        assert_eq!(names(1), ["app.py (7 #2)", "app.py"]);
    }
}
