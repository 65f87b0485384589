//! A bound on the memory that this whole process takes, whatever the files unfold to that it reads.
//!
//! Does: know the bound, measure by the kernel's own account what is taken, tell whether more fits, and remember what was left out
//! because it did not. Does not: take memory away from anybody: who unfolds something asks first, and again while it goes on.
//!
//! Decoders have bounds of their own, each. What they add up to has this one.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::unistd::{SysconfVar, sysconf};

use crate::types::room::{MemorySize, Room};

/// The bound in bytes; no bound unless one is set.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);
/// What was taken when the bound was set, mostly by the program's own code: stages share the rest.
static TAKEN_AT_FIRST: AtomicU64 = AtomicU64::new(0);
/// How many threads take memory at the same time, without knowing of each other.
static TAKERS: AtomicU64 = AtomicU64::new(1);
/// What was left out.
static LEFT_OUT: Mutex<LeftOut> = Mutex::new(LeftOut { samples: 0, shortened: 0, lost: 0, others: BTreeSet::new() });
/// So many different things are told one by one.
const MAX_TOLD: usize = 20;

/// What was left out because it would not have fit.
#[derive(Debug)]
struct LeftOut {
    samples: u64,
    shortened: u64,
    lost: u64,
    others: BTreeSet<String>,
}

/// Something that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// So many more samples, the last ones.
    Samples(u64),
    /// The outer part of so many distinct stacks, those that were shortened before among them.
    OuterParts(u64),
    /// All samples of so many more distinct stacks.
    Stacks(u64),
    /// This, in words: `names of libx.so`.
    Other(String),
}

/// What each thread takes without asking for it: its stack, tables that grow, what an allocator has between two blocks.
const RESERVE: u64 = 3 << 20;
/// A meter measures again after so many bytes, at the latest: a measurement takes a microsecond.
const MEASURE_AFTER: u64 = 1 << 20;

/// Which part a stage may fill of what the bound leaves beside the program itself, in percent: a later one needs room beside what the
/// earlier ones hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// What is remembered so that it need not be read again.
    Keeping,
    /// What has been read of a recording.
    Reading,
    /// What is made of it: names, stacks and samples.
    Making,
    /// What is known of a target, and the stacks that are counted and named: all of it is dropped before an output is made.
    Sampling,
    /// All: what is written, and what is dropped at once.
    All,
}

impl Share {
    fn of(self, limit: u64, taken_at_first: u64) -> u64 {
        let percent = match self {
            Share::Keeping => 25,
            Share::Reading => 45,
            Share::Making => 65,
            Share::Sampling => 85,
            Share::All => 100,
        };
        let reserve = RESERVE.saturating_mul(TAKERS.load(Ordering::Relaxed));
        taken_at_first.saturating_add(limit.saturating_sub(reserve).saturating_sub(taken_at_first) / 100 * percent)
    }
}

/// Sets the bound, in bytes.
pub fn set_limit(limit: MemorySize) {
    TAKEN_AT_FIRST.store(resident().unwrap_or(0), Ordering::Relaxed);
    LIMIT.store(limit.0, Ordering::Relaxed);
}

/// Tells how many threads take memory at the same time: one, unless this is called.
pub fn set_takers(threads: u64) {
    TAKERS.store(threads, Ordering::Relaxed);
}

/// The bound, if there is one.
pub fn limit() -> Option<MemorySize> {
    let limit = LIMIT.load(Ordering::Relaxed);
    (limit != u64::MAX).then_some(MemorySize(limit))
}

/// How many bytes a stage may still take; all where there is no bound, or the kernel does not tell what is taken.
pub fn left(share: Share) -> u64 {
    match (limit(), resident()) {
        (Some(limit), Some(resident)) => {
            share.of(limit.0, TAKEN_AT_FIRST.load(Ordering::Relaxed)).saturating_sub(resident)
        }
        _ => u64::MAX,
    }
}

/// Whether so many bytes more fit into a stage's part.
pub fn fits(bytes: u64, share: Share) -> bool {
    limit().is_none() || bytes <= left(share)
}

/// What this process has in memory, its own code included, in bytes: the second number of statm (proc_pid_statm(5)), in pages.
fn resident() -> Option<u64> {
    static STATM: OnceLock<Option<(File, u64)>> = OnceLock::new();
    let statm = STATM.get_or_init(|| {
        let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
        Some((File::open("/proc/self/statm").ok()?, u64::try_from(page).ok()?))
    });
    let (file, page) = statm.as_ref()?;
    let mut text = [0; 128];
    let length = file.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(*page))
}

/// Remembers that something was left out because it would not have fit.
pub fn leave_out(what: Left) {
    let mut all = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    match what {
        Left::Samples(more) => all.samples = all.samples.saturating_add(more),
        Left::OuterParts(number) => all.shortened = all.shortened.max(number),
        Left::Stacks(more) => all.lost = all.lost.saturating_add(more),
        Left::Other(what) if all.others.len() < MAX_TOLD => drop(all.others.insert(what)),
        Left::Other(_) => drop(all.others.insert("more of the same kind".to_owned())),
    }
}

/// What was left out, with the reason, a thing a line.
pub fn left_out() -> Vec<String> {
    let Some(limit) = limit() else { return Vec::new() };
    let all = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |(number, before, what): (u64, &str, &str)| {
        let several = if number == 1 { "" } else { "s" };
        (number > 0).then(|| format!("{before}{number} {what}{several}"))
    };
    let numbers = [
        (all.samples, "the last ", "sample"),
        (all.shortened, "outer frames of ", "stack"),
        (all.lost, "", "whole stack"),
    ];
    let words = numbers.into_iter().filter_map(number).chain(all.others.iter().cloned());
    words.map(|what| format!("{what}: no room in the {limit} that --max-memory allows")).collect()
}

/// Asks for room in small parts, and measures now and then. Where something cannot be had, nothing later can, either, by the same
/// meter: what is left out is left out as a whole.
#[derive(Debug)]
pub struct Meter {
    share: Share,
    /// What may be taken until it is measured again, in bytes.
    credit: u64,
}

impl Meter {
    /// A meter for a stage.
    pub fn new(share: Share) -> Meter {
        Meter { share, credit: 0 }
    }
}

impl Room for Meter {
    fn take(&mut self, bytes: u64) -> bool {
        if let Some(credit) = self.credit.checked_sub(bytes) {
            self.credit = credit;
            return true;
        }
        if limit().is_none() {
            return true;
        }
        let left = left(self.share);
        if bytes > left {
            return false;
        }
        self.credit = ((left - bytes) / 4).min(MEASURE_AFTER);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_the_kernel_counts() {
        let before = resident().expect("the kernel tells");
        let taken = vec![1_u8; 64 << 20];
        let after = resident().expect("the kernel tells");
        assert!(after >= before.saturating_add(taken.len() as u64 / 2), "{before} {after}");
    }

    #[test]
    fn a_later_stage_has_more_room() {
        let limit = 512 << 20;
        for taken in [0, 20 << 20] {
            let shares = [Share::Keeping, Share::Reading, Share::Making, Share::Sampling, Share::All];
            let shares = shares.map(|share| share.of(limit, taken));
            assert!(shares.is_sorted_by(|a, b| a < b) && shares[0] > taken && shares[4] < limit, "{shares:?}");
        }
        assert_eq!((Share::All.of(0, 0), Share::All.of(1 << 20, 2 << 20)), (0, 2 << 20));
    }
}
