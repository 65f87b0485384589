//! On which CPU a thread was met last, so that the kernel need not be asked before each stop.
//!
//! Does: tell whether a thread shares the calling thread's CPU: by what is remembered where that says no, for that is noticed when it is
//! wrong; else by the kernel's word, whose file takes longer to read than any other that a stop needs.
//! Does not: wait, or stop a thread.

use crate::target::threads::Thread;
use crate::types::Tid;

/// So many threads are remembered at least; of those that share a place, the one that was asked about last.
const PLACES: usize = 64;
/// After a wrong guess, which costs a vain wait of up to 0.1 ms, the kernel is asked so many times: that is what as many reads of its file
/// cost at least.
const ASKED_AFTER_WRONG: u32 = 64;

/// Where threads were met.
#[derive(Debug)]
pub struct LastCpus {
    met: [Option<(Tid, usize)>; PLACES],
    to_ask: u32,
}

impl Default for LastCpus {
    fn default() -> LastCpus {
        LastCpus { met: [None; PLACES], to_ask: 0 }
    }
}

impl LastCpus {
    /// Whether a thread is likely to share the calling thread's CPU.
    pub fn share_ours(&mut self, thread: &mut Thread) -> bool {
        own().is_some_and(|own| self.is_on(own, thread.tid, || thread.last_cpu()))
    }

    /// Whether one that was taken to be elsewhere does share it.
    pub fn share_ours_after_all(&mut self, thread: &mut Thread) -> bool {
        own().is_some_and(|own| self.is_on_after_all(own, thread.tid, || thread.last_cpu()))
    }

    fn is_on(&mut self, own: usize, tid: Tid, ask: impl FnOnce() -> Option<usize>) -> bool {
        let known = self.met[place(tid)].filter(|(met, _)| *met == tid);
        if self.to_ask == 0 && known.is_some_and(|(_, cpu)| cpu != own) {
            return false;
        }
        self.to_ask = self.to_ask.saturating_sub(1);
        self.ask(tid, ask) == Some(own)
    }

    fn is_on_after_all(&mut self, own: usize, tid: Tid, ask: impl FnOnce() -> Option<usize>) -> bool {
        let is_on = self.ask(tid, ask) == Some(own);
        if is_on {
            self.to_ask = ASKED_AFTER_WRONG;
        }
        is_on
    }

    fn ask(&mut self, tid: Tid, ask: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let cpu = ask();
        self.met[place(tid)] = cpu.map(|cpu| (tid, cpu));
        cpu
    }
}

fn place(tid: Tid) -> usize {
    tid.0.unsigned_abs() as usize % PLACES
}

/// The CPU of the calling thread.
fn own() -> Option<usize> {
    nix::sched::sched_getcpu().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TID: Tid = Tid(4711);
    const OWN: usize = 1;

    /// Whether the thread was told to share our CPU, and whether the kernel was asked, whose word is `cpu`.
    fn told(cpus: &mut LastCpus, tid: Tid, cpu: usize) -> (bool, bool) {
        let mut was_asked = false;
        let ask = || {
            was_asked = true;
            Some(cpu)
        };
        (cpus.is_on(OWN, tid, ask), was_asked)
    }

    #[test]
    fn of_a_thread_that_was_met_elsewhere_the_kernel_is_not_asked() {
        let mut cpus = LastCpus::default();
        assert_eq!(told(&mut cpus, TID, 0), (false, true));
        assert_eq!(told(&mut cpus, TID, OWN), (false, false));
        let at_its_place = Tid(TID.0 + PLACES as i32);
        assert_eq!(told(&mut cpus, at_its_place, 0), (false, true), "another thread is not known by it");
        assert_eq!(told(&mut cpus, TID, 0), (false, true));
    }

    #[test]
    fn one_that_shares_our_cpu_is_asked_about_each_time() {
        let mut cpus = LastCpus::default();
        assert_eq!([OWN, OWN, 0].map(|cpu| told(&mut cpus, TID, cpu)), [(true, true), (true, true), (false, true)]);
        assert!(!cpus.is_on(OWN, TID, || None));
        assert_eq!(told(&mut cpus, TID, OWN), (false, false));
    }

    #[test]
    fn after_a_wrong_guess_the_kernel_is_asked_for_a_while() {
        let mut cpus = LastCpus::default();
        told(&mut cpus, TID, 0);
        assert!(!cpus.is_on_after_all(OWN, TID, || Some(0)), "it waits for a CPU elsewhere");
        assert_eq!(told(&mut cpus, TID, 0), (false, false));
        assert!(cpus.is_on_after_all(OWN, TID, || Some(OWN)));
        let asked = (0..2 * ASKED_AFTER_WRONG).filter(|_| told(&mut cpus, TID, 0).1).count();
        assert_eq!(asked, ASKED_AFTER_WRONG as usize);
    }

    #[test]
    fn the_calling_thread_shares_its_own_cpu() {
        let tid = Tid(nix::unistd::gettid().as_raw());
        let mut own = Thread::open(crate::types::Pid(std::process::id() as i32), tid).unwrap();
        let mut cpus = LastCpus::default();
        // It can be moved between the two looks at where it is.
        while !cpus.share_ours(&mut own) {
            cpus = LastCpus::default();
        }
    }
}
