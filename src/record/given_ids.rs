//! The ids of the processes of a recording, which the kernel gives again and again.
//!
//! Does: tell processes apart that have had one id, one after the other. Does not: look at a process.

use rustc_hash::FxHashMap;

use super::program::Program;
use crate::target::view::Identity;
use crate::types::Pid;

/// The ids so far: who has each, by its start, and how many had it before.
#[derive(Debug, Default)]
pub(super) struct GivenIds(FxHashMap<Pid, (Option<u64>, u32)>);

impl GivenIds {
    /// How many other processes had the id of this one before; those of the programs that have ended take note that it is another's.
    pub(super) fn give(&mut self, process: &Identity, ended: &mut [Program]) -> u32 {
        let before = self.before(process);
        let had_it = |program: &&mut Program| before > program.again && program.session.identity().pid == process.pid;
        ended.iter_mut().filter(had_it).for_each(|program| program.session.lose_id());
        before
    }

    /// How many other processes had the id of this one before. Its next program is of the same process.
    fn before(&mut self, process: &Identity) -> u32 {
        let (start_time, before) = self.0.entry(process.pid).or_insert((process.start_time, 0));
        if *start_time != process.start_time {
            (*start_time, *before) = (process.start_time, before.saturating_add(1));
        }
        *before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, start_time: u64) -> Identity {
        Identity {
            pid: Pid(pid),
            executable: "/bin/python3".into(),
            command_line: Vec::new(),
            current_directory: None,
            namespace_pid: pid,
            effective_uid: None,
            start_time: Some(start_time),
        }
    }

    #[test]
    fn processes_that_had_one_id_are_told_apart_by_their_starts() {
        let mut ids = GivenIds::default();
        let given = [(7, 100), (8, 100), (7, 100), (7, 300), (7, 300), (8, 100), (7, 400)];
        assert_eq!(given.map(|(pid, start)| ids.before(&process(pid, start))), [0, 0, 0, 1, 1, 0, 2]);
    }
}
