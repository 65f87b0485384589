//! Where a module keeps frame pointers, proved from its unwind tables rather than guessed.
//!
//! Does: mark the code in which a call can be in progress without a frame record at rbp.
//! Does not: cover the innermost or an interrupted frame: those can be at any instruction, and use their row.
//!
//! Why it is exact. The caller of a frame whose record is at rbp is found without its row, so it is enough that
//! each *call* in clear code has the row "CFA = rbp + 16, rbp saved at CFA - 16". Rows of another shape are
//! harmless only where no call can be:
//!
//! - Before the prologue's push and after the epilogue's pop CFA = rsp + 8, and rsp is not the multiple of 16 that
//!   a call needs (psABI 3.2.2). GCC ignores that for callees it knows not to mind (2 of 45,000 calls in a libpython
//!   3.11, 10 of 13,600 in a glibc), so only rows as short as `endbr64; push %rbp` or `jmp` are taken as such.
//! - `push %rbp` makes n = 16, `mov %rsp,%rbp` follows. When the row in between is 3 bytes, and the next is the
//!   frame record's, those bytes are that move, and not a call.
//!
//! Everything else, and code that no row describes, is marked.
//!
//! The sampler does not build it: it saves some 0.4 µs for 64 frames over the cached rules (`bench/unwind.rs`) and
//! takes 13–42 ms for an interpreter, so it pays after tens of thousands of stacks; at 100 samples a second that is
//! minutes. Who walks many more, such as a benchmark or an unwinder of whole recordings, calls
//! [`ModuleUnwinder::build_frame_pointer_map`].

use super::module::{CommonEntries, ModuleUnwinder, UnwindScratch};
use super::x86_64::rule::{SavedBp, UnwindRule};
use crate::types::Svma;

/// Bytes of code per bit.
const GRANULE: u64 = 64;
/// The most code that a map is made for, in bytes (1 GiB, 2 MiB of map).
const MAX_SPAN: u64 = 1 << 30;
/// How many entries are looked at to see whether a map is worth making.
const PROBES: usize = 64;
/// Functions start at multiples of 16: less than that between two is padding.
const PADDING: u64 = 16;
/// The length of `mov %rsp,%rbp`.
const MOVE_LEN: u64 = 3;
/// The length of `endbr64; push %rbp`, and of a tail call's `jmp`.
const EDGE_LEN: u64 = 5;

/// One bit per 64 bytes of a module's code. Set: a call there may have no frame record.
#[derive(Debug, PartialEq, Eq)]
pub struct FramePointerMap {
    start: u64,
    bits: Vec<u64>,
}

impl FramePointerMap {
    /// Makes the map in one pass over the tables. `None` when most of the code does not keep frame pointers.
    pub(super) fn new(module: &ModuleUnwinder) -> Option<Self> {
        let mut scratch = UnwindScratch::new();
        if !probe(module, &mut scratch) {
            return None;
        }
        let mut cies = CommonEntries::default();
        let entries = || (0..module.fde_count()).filter_map(|n| module.index_entry(n));
        let first = entries().map(|e| e.start.0).min()?;
        let last = entries().map(|e| e.start.0).max()?;
        let start = first / GRANULE * GRANULE;
        if last.checked_sub(start)? >= MAX_SPAN {
            return None;
        }
        let mut marks = Marks { start, bits: Vec::new() };
        let mut described_to = start;
        for entry in entries() {
            let Some(fde) = module.fde_at(entry.offset, &mut cies) else { continue };
            let (from, to) = (fde.initial_address(), fde.end_address());
            if from == to {
                continue;
            }
            // No linker writes entries that overlap or are not in order: nothing could be proved from them.
            if from < described_to || to < from || to.checked_sub(start)? > MAX_SPAN {
                return None;
            }
            if from.saturating_sub(described_to) >= PADDING {
                marks.mark(described_to, from);
            }
            marks.cover(to);
            let mut held_back = None;
            let rows = module.for_each_row(&fde, &mut scratch, |range, rule| {
                if let Some((row_from, row_to)) = held_back.take()
                    && *rule != UnwindRule::FRAME_POINTER
                {
                    marks.mark(row_from, row_to);
                }
                let len = range.end.saturating_sub(range.start);
                match call_under(rule) {
                    Call::WithRecord => {}
                    Call::Misaligned if len <= EDGE_LEN => {}
                    Call::AfterPush if len <= MOVE_LEN => held_back = Some((range.start, range.end)),
                    Call::Misaligned | Call::AfterPush | Call::WithoutRecord => marks.mark(range.start, range.end),
                }
            });
            if let Some((row_from, row_to)) = held_back {
                marks.mark(row_from, row_to);
            }
            marks.mark(rows.end, to);
            described_to = to;
        }
        // The last word may reach beyond the last entry.
        let end = start.checked_add((marks.bits.len() as u64).checked_mul(64 * GRANULE)?)?;
        marks.mark(described_to, end);
        Some(FramePointerMap { start, bits: marks.bits })
    }

    /// The first address that the map covers.
    pub fn start(&self) -> Svma {
        Svma(self.start)
    }

    /// Whether every call in the 64 bytes around `svma` has a frame record at rbp.
    pub fn has_record(&self, svma: Svma) -> bool {
        svma.0.checked_sub(self.start).is_some_and(|offset| Self::is_clear(&self.bits, offset))
    }

    /// The share of the covered code that needs no lookup, from 0 to 1.
    pub fn clear_share(&self) -> f64 {
        let all = self.bits.len() as f64 * 64.0;
        let set: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        if all > 0.0 { 1.0 - f64::from(set) / all } else { 0.0 }
    }

    pub(super) fn bits(&self) -> &[u64] {
        &self.bits
    }

    /// Whether the bit `offset` bytes into a map is there and clear.
    #[inline]
    pub(super) fn is_clear(bits: &[u64], offset: u64) -> bool {
        let bit = offset / GRANULE;
        match usize::try_from(bit / 64).ok().and_then(|n| bits.get(n)) {
            Some(word) => word >> (bit % 64) & 1 == 0,
            None => false,
        }
    }
}

/// What can be said of a call that is in progress under a row.
enum Call {
    WithRecord,
    /// The rows before the prologue and after the epilogue.
    Misaligned,
    /// The row between `push %rbp` and the frame record's.
    AfterPush,
    WithoutRecord,
}

fn call_under(rule: &UnwindRule) -> Call {
    match *rule {
        UnwindRule::FRAME_POINTER => Call::WithRecord,
        UnwindRule::FromSp { offset: 16, bp: SavedBp::At(-16) } => Call::AfterPush,
        UnwindRule::FromSp { offset: 8, .. } => Call::Misaligned,
        _ => Call::WithoutRecord,
    }
}

/// Whether frame records are the rule in entries taken evenly from all of the module.
fn probe(module: &ModuleUnwinder, scratch: &mut UnwindScratch) -> bool {
    let mut cies = CommonEntries::default();
    let step = module.fde_count().div_ceil(PROBES).max(1);
    let (mut with_record, mut all) = (0_u64, 0_u64);
    for n in (0..module.fde_count()).step_by(step) {
        let Some(fde) = module.index_entry(n).and_then(|e| module.fde_at(e.offset, &mut cies)) else { continue };
        module.for_each_row(&fde, scratch, |range, rule| {
            let len = range.end.saturating_sub(range.start);
            all = all.saturating_add(len);
            if *rule == UnwindRule::FRAME_POINTER {
                with_record = with_record.saturating_add(len);
            }
        });
    }
    all > 0 && with_record >= all / 2
}

struct Marks {
    start: u64,
    bits: Vec<u64>,
}

impl Marks {
    /// Makes room up to `to`, which the caller has bounded. What is beyond all entries counts as marked.
    fn cover(&mut self, to: u64) {
        let granules = to.saturating_sub(self.start).div_ceil(GRANULE);
        let words = usize::try_from(granules.div_ceil(64)).unwrap_or(0);
        if words > self.bits.len() {
            self.bits.resize(words, 0);
        }
    }

    fn mark(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        self.cover(to);
        let first = from.saturating_sub(self.start) / GRANULE;
        let last = (to - 1).saturating_sub(self.start) / GRANULE;
        for granule in first..=last {
            if let Some(word) = usize::try_from(granule / 64).ok().and_then(|n| self.bits.get_mut(n)) {
                *word |= 1 << (granule % 64);
            }
        }
    }
}

#[cfg(test)]
mod tests;
