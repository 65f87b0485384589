//! The table of processes: which there are, whose children they are, and which have come since it was looked at last.
//!
//! Does: read `/proc/PID/stat`, list `/proc`, and pass over all that when the kernel says that nothing has been started.
//! Does not: choose processes, or look into one.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::process::{age, read_status};
use super::status::TaskState;
use super::{small_file, threads};
use crate::types::Pid;

/// The whole table is listed this often, whatever the kernel says was started last.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// Where the kernel does not say what was started, the table is listed so much later for each process: that takes a microsecond of each.
const AND_FOR_EACH: Duration = Duration::from_micros(40);
/// Looking at each of more ids costs more than listing the table.
const MAX_IDS: i32 = 400;

/// One process, as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Its id.
    pub pid: Pid,
    /// Its parent's; 0 or 1 where that has ended.
    pub parent: Pid,
    /// The id of the process that has begun its session (setsid(2)); no other gets that while anybody is in the session.
    pub session: Pid,
    /// When it was started, in clock ticks since boot: with the pid, its identity.
    pub start_time: u64,
    /// What the kernel says it does.
    pub state: TaskState,
    /// Its name (`comm`).
    pub name: String,
    /// The CPU time that it has used, in clock ticks.
    pub cpu_ticks: u64,
}

impl ProcessEntry {
    /// The process or thread with this id; `None` when there is none.
    pub fn of(pid: Pid) -> Option<ProcessEntry> {
        let bytes = small_file::read(format!("/proc/{pid}/stat"), small_file::MAX_STAT).ok()?;
        // A name that is no text is no reason to miss the process.
        ProcessEntry::parse(pid, &String::from_utf8_lossy(&bytes))
    }

    /// The fields as proc_pid_stat(5) counts them.
    fn parse(pid: Pid, text: &str) -> Option<ProcessEntry> {
        let name = text.get(text.find('(')? + 1..text.rfind(')')?)?.to_owned();
        let mut fields = threads::fields_behind_name(text)?;
        let state = TaskState::of_letter(*fields.next()?.as_bytes().first()?);
        let parent = Pid(fields.next()?.parse().ok()?);
        let session = Pid(fields.nth(6 - 5)?.parse().ok()?);
        let (user, system): (u64, u64) = (fields.nth(14 - 7)?.parse().ok()?, fields.next()?.parse().ok()?);
        let start_time = fields.nth(22 - 16)?.parse().ok()?;
        let cpu_ticks = user.saturating_add(system);
        Some(ProcessEntry { pid, parent, session, start_time, state, name, cpu_ticks })
    }

    /// How long ago it was started.
    pub fn age(&self) -> Option<Duration> {
        age(self.start_time)
    }

    /// Whether it has ended, and only waits for its parent.
    pub fn has_ended(&self) -> bool {
        self.state.has_ended()
    }
}

/// Whether an id is a process's, and not that of another thread than the first.
pub fn is_process(pid: Pid) -> bool {
    read_status(pid).is_some_and(|status| status.thread_group == pid)
}

/// The children of a process, of all its threads (`/proc/PID/task/TID/children`, proc_pid_task(5)); none where the kernel does not tell.
pub fn children(pid: Pid) -> Vec<Pid> {
    let of_thread = |tid| fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).ok();
    let all = threads::list(pid).unwrap_or_default().into_iter().filter_map(of_thread);
    all.flat_map(|text| text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok().map(Pid)).collect::<Vec<_>>())
        .collect()
}

/// The path of a process's program; `None` where that may not be known.
pub fn program_of(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// All processes, sorted by id.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn list() -> io::Result<Vec<Pid>> {
    let id = |entry: io::Result<fs::DirEntry>| Some(Pid(entry.ok()?.file_name().to_str()?.parse().ok()?));
    let mut pids: Vec<Pid> = fs::read_dir("/proc")?.filter_map(id).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// The processes that have come since a look before.
#[derive(Debug, Default)]
pub struct NewProcesses {
    /// `/proc/loadavg`, opened once: it is read a hundred times a second.
    load: Option<File>,
    /// The id that was given last when it was looked.
    last: Option<i32>,
    listed: FxHashSet<Pid>,
    listed_at: Option<Instant>,
    /// What was told since the table was listed.
    told: FxHashSet<Pid>,
    /// Ids that were given, and had no process yet: a process is seen a moment after it has its id.
    not_yet: Vec<Pid>,
    /// Whether a process has come that the kernel did not tell of: in a container, `/proc/loadavg` can be made up by another.
    is_told_wrong: bool,
}

impl NewProcesses {
    /// Ids that may be new processes': all at the first look. Some are of threads, or are known.
    pub fn look(&mut self) -> Vec<Pid> {
        let now = self.last_id();
        let before = std::mem::replace(&mut self.last, now);
        let for_each = AND_FOR_EACH * u32::try_from(self.listed.len()).unwrap_or(u32::MAX);
        let list_every = if self.is_told_wrong { LIST_EVERY.min(for_each) } else { LIST_EVERY };
        let is_due = self.listed_at.is_none_or(|at| at.elapsed() >= list_every);
        let given = before.zip(self.last).filter(|(before, now)| (0..=MAX_IDS).contains(&now.saturating_sub(*before)));
        let Some((before, now)) = given.filter(|_| !is_due) else { return self.list(before) };
        let is_there = |pid: &Pid| ProcessEntry::of(*pid).is_some();
        let (mut there, not_yet): (Vec<Pid>, Vec<Pid>) = (before.saturating_add(1)..=now).map(Pid).partition(is_there);
        there.extend(std::mem::replace(&mut self.not_yet, not_yet));
        self.told.extend(&there);
        there
    }

    fn last_id(&mut self) -> Option<i32> {
        if self.load.is_none() {
            self.load = File::open("/proc/loadavg").ok();
        }
        last_id(self.load.as_ref()?)
    }

    /// The same by the whole table; the id that was given last `before` is that of the look before.
    fn list(&mut self, before: Option<i32>) -> Vec<Pid> {
        let not_yet = std::mem::take(&mut self.not_yet);
        let Ok(pids) = list() else { return not_yet };
        let is_first = self.listed_at.replace(Instant::now()).is_none();
        let known = std::mem::replace(&mut self.listed, pids.iter().copied().collect());
        let told = std::mem::take(&mut self.told);
        // Ids begin again from the lowest when the highest has been given; then each may be another's by now.
        let (Some(before), Some(now)) = (before, self.last_id()) else { return pids };
        if now < before {
            return pids;
        }
        let is_given = |pid: &Pid| before < pid.0 && pid.0 <= now;
        let is_new = |pid: &Pid| !known.contains(pid) && !told.contains(pid);
        self.is_told_wrong |=
            !is_first && pids.iter().any(|pid| is_new(pid) && !is_given(pid) && !not_yet.contains(pid));
        pids.into_iter().filter(|pid| is_new(pid) || is_given(pid) || not_yet.contains(pid)).collect()
    }
}

/// The id that was given last in our pid namespace, to a process or a thread, by `/proc/loadavg` (proc_loadavg(5)).
fn last_id(load: &File) -> Option<i32> {
    // Three numbers with two decimals, two counts and the id.
    let mut buffer = [0; 128];
    threads::read_text(load, &mut buffer).ok()?.split_ascii_whitespace().nth(4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").spawn().unwrap()
    }

    #[test]
    fn an_entry_is_told_by_its_fields() {
        let text = "42 (a) b (c) S 7 42 41 0 -1 4194560 1 2 3 4 55 66 7 8 20 0 1 0 12345 1000 20";
        let entry = ProcessEntry::parse(Pid(42), text).unwrap();
        assert_eq!((entry.parent, entry.session), (Pid(7), Pid(41)));
        assert_eq!((entry.start_time, entry.cpu_ticks), (12345, 121));
        assert_eq!((entry.name.as_str(), entry.state), ("a) b (c", TaskState::Blocked));
        for damaged in ["", "42", "42 (", "42 ) (", "42 (a) S", "42 (a) S x", "42 (a) S 7 42 42 0 -1 4 1 2 3 4 x"] {
            assert_eq!(ProcessEntry::parse(Pid(42), damaged), None, "{damaged}");
        }
    }

    #[test]
    fn this_process_has_an_entry_and_a_parent() {
        let own = Pid(std::process::id() as i32);
        let entry = ProcessEntry::of(own).unwrap();
        assert_eq!(entry.parent, Pid(std::os::unix::process::parent_id() as i32));
        assert!(is_process(own) && !entry.has_ended());
        let tid = std::thread::spawn(|| nix::unistd::gettid().as_raw()).join().unwrap();
        assert!(!is_process(Pid(tid)));
    }

    #[test]
    fn a_process_that_has_come_is_new_once() {
        let mut new = NewProcesses::default();
        assert!(new.look().contains(&Pid(std::process::id() as i32)), "all are new at first");
        let mut child = sleeper();
        let pid = Pid(child.id() as i32);
        let seen: Vec<Vec<Pid>> = (0..2).map(|_| new.look()).collect();
        assert!(seen[0].contains(&pid), "{seen:?}");
        assert!(!seen[1].contains(&pid), "{seen:?}");
        new.listed_at = None;
        new.last = None;
        assert!(new.look().contains(&pid), "where it cannot be told, all are");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
