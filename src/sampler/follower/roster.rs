//! The list of processes that are chosen, and what each is at the moment.
//!
//! Does: take up new ones, look into those that are due, forget those that have ended. Does not: keep time, or hand anything to another
//! thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::candidate::{Candidate, KnownPrograms, Look};
use super::found::{Followed, Found, Refused, Which};
use crate::process::binaries::Binaries;
use crate::sampler::mode::Mode;
use crate::target::own;
use crate::target::process_table::{NewProcesses, ProcessEntry, is_process};
use crate::target::selection::Selection;
use crate::target::view::Identity;
use crate::types::Pid;

/// The most processes that are sampled side by side: each has files open and memory of its own.
const MAX_OPEN: usize = 1_000;
/// The most programs of one recording: a reader takes no more than 10,000.
const MAX_PROGRAMS: u64 = 9_000;
/// What a process may become by which it is chosen is looked at for so long.
const UNDECIDED: Duration = Duration::from_secs(10);
/// Processes that have ended are looked for this often.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// And undecided ones are looked at again this often.
const DECIDE_EVERY: Duration = Duration::from_millis(50);
/// Each when so much of the time has passed again that it is known for.
const OF_THEIR_AGE: u32 = 6;

/// A chosen process.
#[derive(Debug)]
struct Chosen {
    start_time: u64,
    status: Status,
}

#[derive(Debug)]
enum Status {
    /// It may run Python.
    Candidate(Candidate),
    /// It is sampled.
    Open,
    /// It is not, and will not be.
    PassedBy,
}

/// The chosen processes.
#[derive(Debug)]
pub struct Roster {
    selection: Selection,
    mode: Mode,
    binaries: Arc<Binaries>,
    new: NewProcesses,
    chosen: FxHashMap<Pid, Chosen>,
    /// When it is time to look into each that may run Python, the next first. Some are of processes that are none of those any more.
    due: BinaryHeap<Reverse<(Instant, Pid)>>,
    /// When those were started that are chosen by their ids: who has such an id later is another.
    named: FxHashMap<Pid, u64>,
    /// Processes that may yet become what is chosen: since when they are known, and when they are looked at next.
    undecided: FxHashMap<Pid, (Instant, Instant)>,
    others: KnownPrograms,
    has_looked: bool,
    programs: u64,
    /// How many are sampled now.
    open: usize,
    tidied: Instant,
    decided: Instant,
    followed: Followed,
}

impl Roster {
    /// Without anything but what is being sampled already.
    pub fn new(selection: Selection, mode: Mode, binaries: Arc<Binaries>, open: &[&Identity]) -> Roster {
        let now = Instant::now();
        let open: FxHashMap<Pid, u64> = open.iter().filter_map(|one| Some((one.pid, one.start_time?))).collect();
        let start_time = |pid: &Pid| open.get(pid).copied().or_else(|| Some(ProcessEntry::of(*pid)?.start_time));
        let named = selection.pids.iter().filter_map(|pid| Some((*pid, start_time(pid)?))).collect();
        let programs = open.len() as u64;
        let chosen: FxHashMap<Pid, Chosen> =
            open.into_iter().map(|(pid, start_time)| (pid, Chosen { start_time, status: Status::Open })).collect();
        Roster {
            selection,
            mode,
            binaries,
            new: NewProcesses::default(),
            open: chosen.len(),
            chosen,
            due: BinaryHeap::new(),
            named,
            undecided: FxHashMap::default(),
            others: KnownPrograms::default(),
            has_looked: false,
            programs,
            tidied: now,
            decided: now,
            followed: Followed::default(),
        }
    }

    /// Takes up what has come, looks into what is due, and hands over what is ready. `is_about` is told of each process before it is
    /// looked into, and of none behind the last, and ends the look where it returns false.
    pub fn look(&mut self, is_about: &dyn Fn(Option<Pid>) -> bool, hand_over: &mut dyn FnMut(Found)) {
        let mut come = self.new.look();
        if self.decided.elapsed() >= DECIDE_EVERY {
            self.decided = Instant::now();
            come.extend(self.undecided_due());
        }
        self.take_up(come);
        self.has_looked = true;
        let now = Instant::now();
        // What is due again by then is left to the next look.
        let due = std::iter::from_fn(|| pop_due(&mut self.due, now)).collect::<Vec<Pid>>();
        for pid in due {
            if !is_about(Some(pid)) {
                break;
            }
            if self.chosen.get(&pid).is_some_and(|chosen| chosen.is_due(now)) {
                self.look_into(pid, hand_over);
            }
        }
        is_about(None);
        if self.tidied.elapsed() >= TIDY_EVERY {
            self.tidied = Instant::now();
            self.tidy();
        }
    }

    /// Whether any of the chosen processes lives that is sampled, or may be soon. One that was named by its id may start Python at any time.
    pub fn lives(&self) -> bool {
        let counts = |(pid, chosen): (&Pid, &Chosen)| match &chosen.status {
            Status::Open => true,
            Status::Candidate(candidate) => candidate.is_starting() || self.is_named(*pid, chosen.start_time),
            Status::PassedBy => false,
        };
        self.open > 0 || self.chosen.iter().any(counts)
    }

    /// Looks into a process again: it has replaced its program.
    pub fn look_again(&mut self, (pid, start_time): Which) {
        if let Some(chosen) = self.chosen.get_mut(&pid).filter(|chosen| Some(chosen.start_time) == start_time) {
            let candidate = Candidate::known((pid, chosen.start_time));
            self.due.push(Reverse((candidate.next(), pid)));
            let before = std::mem::replace(&mut chosen.status, Status::Candidate(candidate));
            self.note_replaced(&before);
        }
    }

    /// Forgets a process that has ended.
    pub fn ended(&mut self, (pid, start_time): Which) {
        if self.chosen.get(&pid).is_some_and(|chosen| Some(chosen.start_time) == start_time) {
            let before = self.chosen.remove(&pid);
            before.iter().for_each(|chosen| self.note_replaced(&chosen.status));
        }
        // One that has its id by now is another, and is taken up as such.
        self.take_up(vec![pid]);
    }

    /// Takes note that a process is what it was no more.
    fn note_replaced(&mut self, before: &Status) {
        self.open = self.open.saturating_sub(usize::from(matches!(before, Status::Open)));
    }

    /// Those of the undecided that are to be looked at again: what is older is looked at less often.
    fn undecided_due(&mut self) -> Vec<Pid> {
        let now = Instant::now();
        self.undecided.retain(|_, (since, _)| now.duration_since(*since) < UNDECIDED);
        let mut due = Vec::new();
        for (pid, (since, next)) in &mut self.undecided {
            if *next <= now {
                *next = now + now.duration_since(*since) / OF_THEIR_AGE;
                due.push(*pid);
            }
        }
        due
    }

    fn is_named(&self, pid: Pid, start_time: u64) -> bool {
        self.named.get(&pid) == Some(&start_time)
    }

    /// Whether a process was started by a chosen one, or by what that has started. By the session that is known also where its parent has
    /// ended: nobody comes into one but by being started in it. Into a process group others can come, as the second program of a pipe.
    fn is_descendant(&self, process: &ProcessEntry) -> bool {
        self.has_started(process.parent, process) || self.has_started(process.session, process)
    }

    /// Whether the process with this id, when it started another or began its session, was a chosen one.
    fn has_started(&self, pid: Pid, process: &ProcessEntry) -> bool {
        let Some(chosen) = self.chosen.get(&pid).filter(|_| pid != process.pid) else { return false };
        // Whoever was started before the id was given to another is of the one before.
        ProcessEntry::of(pid)
            .is_none_or(|now| now.start_time == chosen.start_time || process.start_time < now.start_time)
    }

    /// What became of those that are settled.
    pub fn settled(&self) -> &Followed {
        &self.followed
    }

    /// What became of all. What could not be looked into until now cannot be.
    pub fn followed(mut self) -> Followed {
        for (pid, chosen) in &self.chosen {
            let Status::Candidate(candidate) = &chosen.status else { continue };
            self.followed.not_python += u64::from(candidate.is_other());
            if let Some((name, reason)) = candidate.trouble() {
                self.followed.refuse(Refused { pid: *pid, name, reason });
            }
        }
        self.followed
    }

    /// Takes up those processes that are chosen, and their children that are among them.
    fn take_up(&mut self, mut come: Vec<Pid>) {
        // A child mostly has a higher number than its parent, but where the numbers begin again.
        come.sort_unstable();
        loop {
            let before = self.chosen.len();
            come.retain(|pid| !self.take_up_one(*pid));
            if self.chosen.len() == before || !self.selection.descendants {
                break;
            }
        }
    }

    /// Takes up a process if it is chosen. Returns whether it is settled what it is.
    fn take_up_one(&mut self, pid: Pid) -> bool {
        let Some(entry) = ProcessEntry::of(pid).filter(|entry| !entry.has_ended()) else {
            self.undecided.remove(&pid);
            return true;
        };
        if self.chosen.get(&pid).is_some_and(|chosen| chosen.start_time == entry.start_time) {
            return true;
        }
        let (is_named, is_of_one) = (self.is_named(pid, entry.start_time), self.is_descendant(&entry));
        if pid.0.unsigned_abs() == std::process::id() || !self.selection.chooses(&entry, (is_named, is_of_one)) {
            // What has run for long under another name, or in another group, stays what it is.
            let may_change = self.has_looked || entry.age().is_none_or(|age| age < UNDECIDED);
            if may_change && self.selection.is_open() && is_process(pid) {
                let now = Instant::now();
                self.undecided.entry(pid).or_insert((now, now));
            }
            return false;
        }
        self.undecided.remove(&pid);
        if !is_process(pid) {
            return true;
        }
        let which = (pid, entry.start_time);
        let candidate = if self.has_looked { Candidate::started(which) } else { Candidate::known(which) };
        self.due.push(Reverse((candidate.next(), pid)));
        let chosen = Chosen { start_time: entry.start_time, status: Status::Candidate(candidate) };
        // Whoever had the id before may not have been told of yet.
        let before = self.chosen.insert(pid, chosen);
        before.iter().for_each(|chosen| self.note_replaced(&chosen.status));
        true
    }

    fn look_into(&mut self, pid: Pid, hand_over: &mut dyn FnMut(Found)) {
        let known = self.chosen.len();
        let Some(chosen) = self.chosen.get_mut(&pid) else { return };
        let Status::Candidate(candidate) = &mut chosen.status else { return };
        let was_other = candidate.is_other();
        let look = candidate.look((self.mode, known), &self.binaries, &self.others);
        match look {
            Look::Later => self.due.push(Reverse((candidate.next(), pid))),
            Look::Gone { too_soon } => {
                self.followed.too_short += u64::from(too_soon);
                self.followed.not_python += u64::from(was_other);
                self.chosen.remove(&pid);
            }
            Look::Never => chosen.status = Status::PassedBy,
            Look::Found { .. }
                if self.open >= MAX_OPEN || self.programs >= MAX_PROGRAMS || !own::has_room_for_files() =>
            {
                self.followed.too_many += 1;
                chosen.status = Status::PassedBy;
            }
            Look::Found { session, is_born } => {
                self.programs += 1;
                self.open += 1;
                chosen.status = Status::Open;
                hand_over(Found { session: *session, is_born });
            }
            Look::Refused { name, reason } => {
                chosen.status = Status::PassedBy;
                self.followed.refuse(Refused { pid, name, reason });
            }
        }
    }

    /// Forgets those that were passed by and have ended. Of those that are sampled it is told, the others are looked into.
    fn tidy(&mut self) {
        let mut of_others = Vec::new();
        self.chosen.retain(|pid, chosen| {
            if !matches!(chosen.status, Status::PassedBy) {
                return true;
            }
            let entry = ProcessEntry::of(*pid);
            let is_it = |entry: &ProcessEntry| entry.start_time == chosen.start_time;
            let lives = entry.as_ref().is_some_and(|entry| is_it(entry) && !entry.has_ended());
            of_others.extend(entry.filter(|entry| !is_it(entry)).map(|_| *pid));
            lives
        });
        self.take_up(of_others);
    }
}

/// Takes the next one if it is due.
fn pop_due(due: &mut BinaryHeap<Reverse<(Instant, Pid)>>, now: Instant) -> Option<Pid> {
    due.peek().filter(|Reverse((next, _))| *next <= now)?;
    due.pop().map(|Reverse((_, pid))| pid)
}

impl Chosen {
    fn is_due(&self, now: Instant) -> bool {
        matches!(&self.status, Status::Candidate(candidate) if candidate.is_due(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: i32 = 1 << 30;

    fn own() -> ProcessEntry {
        ProcessEntry::of(Pid(std::process::id() as i32)).unwrap()
    }

    fn roster(pid: Pid) -> Roster {
        Roster::new(Selection::tree(pid), Mode::Wall, Arc::default(), &[])
    }

    fn choose(roster: &mut Roster, pid: Pid, start_time: u64) {
        roster.chosen.insert(pid, Chosen { start_time, status: Status::Open });
        roster.open += 1;
    }

    #[test]
    fn what_is_told_of_a_process_that_has_ended_is_not_of_the_one_that_has_its_id() {
        let (own, mut roster) = (own(), roster(Pid(ID)));
        choose(&mut roster, own.pid, own.start_time);
        roster.look_again((own.pid, Some(own.start_time - 1)));
        roster.ended((own.pid, Some(own.start_time - 1)));
        assert!(matches!(roster.chosen[&own.pid].status, Status::Open));
        roster.ended((own.pid, Some(own.start_time)));
        assert!(roster.chosen.is_empty() && roster.open == 0);
    }

    /// As many as a machine can have: what is not due costs nothing, and what is due is found without looking at the others.
    #[test]
    fn of_thousands_those_are_looked_into_that_are_due() {
        let mut roster = roster(Pid(ID));
        let now = Instant::now();
        for number in 0..5_000 {
            roster.due.push(Reverse((now + Duration::from_secs(60 + number), Pid(ID + number as i32))));
        }
        roster.due.push(Reverse((now, Pid(7))));
        let due: Vec<Pid> = std::iter::from_fn(|| pop_due(&mut roster.due, now)).collect();
        assert_eq!((due, roster.due.len()), (vec![Pid(7)], 5_000));
    }

    #[test]
    fn who_is_looked_into_is_told_for_as_long_as_that_lasts() {
        let mut roster = roster(own().parent);
        let told = std::cell::RefCell::new(Vec::new());
        let is_about = |pid| {
            told.borrow_mut().push(pid);
            true
        };
        roster.look(&is_about, &mut |_| {});
        let told = told.into_inner();
        assert!(told.contains(&Some(own().parent)) && told.last() == Some(&None), "{told:?}");
    }

    #[test]
    fn a_child_is_of_the_process_that_had_the_id_when_it_was_started() {
        let (own, mut roster) = (own(), roster(Pid(ID)));
        let parent = ProcessEntry::of(own.parent).unwrap();
        let alone = ProcessEntry { session: Pid(ID), ..own };
        assert!(!roster.is_descendant(&alone));
        choose(&mut roster, parent.pid, parent.start_time);
        assert!(roster.is_descendant(&alone));
        choose(&mut roster, parent.pid, parent.start_time.wrapping_sub(1));
        assert!(!roster.is_descendant(&alone), "another has the id, and has started it");
        let earlier = ProcessEntry { start_time: parent.start_time.wrapping_sub(1), ..alone.clone() };
        assert!(roster.is_descendant(&earlier), "it was there before the other");
        // The same by the session, where the parent has ended.
        let orphan = ProcessEntry { parent: Pid(1), session: parent.pid, ..alone };
        assert!(!roster.is_descendant(&orphan), "another has the id, and has begun the session");
        choose(&mut roster, parent.pid, parent.start_time);
        assert!(roster.is_descendant(&orphan));
        let leader = ProcessEntry { parent: Pid(ID), session: parent.pid, ..parent };
        assert!(!roster.is_descendant(&leader), "it has begun its session itself");
    }

    #[test]
    fn a_process_is_chosen_by_its_id_for_as_long_as_that_is_its_own() {
        let (own, mut roster) = (own(), roster(own().parent));
        let parent = ProcessEntry::of(own.parent).unwrap();
        assert!(roster.is_named(parent.pid, parent.start_time));
        assert!(!roster.is_named(parent.pid, parent.start_time + 1));
        roster.named.insert(parent.pid, parent.start_time + 1);
        roster.take_up(vec![parent.pid]);
        assert!(roster.chosen.is_empty());
    }

    #[test]
    fn those_that_have_ended_are_forgotten_with_their_ids() {
        let (own, mut roster) = (own(), roster(Pid(ID)));
        let mut pass_by = |pid, start_time| roster.chosen.insert(pid, Chosen { start_time, status: Status::PassedBy });
        pass_by(Pid(ID), 1);
        pass_by(own.pid, own.start_time - 1);
        pass_by(own.parent, ProcessEntry::of(own.parent).unwrap().start_time);
        roster.tidy();
        // Who has the id now is looked at anew; this one never chooses itself.
        assert_eq!(roster.chosen.into_keys().collect::<Vec<_>>(), [own.parent]);
    }
}
