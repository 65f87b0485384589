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
    /// What it is to its users.
    pub role: String,
}

impl ShownProcess {
    /// The process of a program with this command line.
    pub fn new(pid: Option<Pid>, command: Option<&str>) -> ShownProcess {
        ShownProcess { pid, role: role(command.unwrap_or_default()) }
    }

    /// `ROLE (PID)`.
    pub fn name(&self) -> String {
        match self.pid {
            Some(pid) => format!("{} ({pid})", self.role),
            None => self.role.clone(),
        }
    }

    /// The frame with which its stacks begin.
    pub fn frame(&self, labels: ProcessLabels) -> Frame {
        match labels {
            ProcessLabels::Each => Frame::process(&self.name()),
            ProcessLabels::Merged => Frame::process(&self.role),
        }
    }
}

/// Whether programs are of several processes.
pub fn are_several(mut pids: impl Iterator<Item = Option<Pid>>) -> bool {
    let first = pids.next();
    first.is_some_and(|first| pids.any(|pid| pid != first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_can_have_several_programs() {
        let pids = |list: &[i32]| list.iter().map(|pid| Some(Pid(*pid))).collect::<Vec<_>>();
        for (list, expected) in [(&[][..], false), (&[1], false), (&[1, 1, 1], false), (&[1, 1, 2], true)] {
            assert_eq!(are_several(pids(list).into_iter()), expected, "{list:?}");
        }
    }

    #[test]
    fn merged_processes_have_their_role_alone() {
        let process = ShownProcess::new(Some(Pid(7)), Some("python3 app.py"));
        let name = |labels| process.frame(labels).name.to_string();
        assert_eq!([name(ProcessLabels::Each), name(ProcessLabels::Merged)], ["app.py (7)", "app.py"]);
    }
}
