//! How much of a file's code keeps frame pointers, measured from its unwind tables.
//!
//! Does: sort every described byte of code by what its row says of the frame record, within a bound of work. The
//! registers are the architecture's data; both are compiled everywhere.
//! Does not: unwind with the result. Steps are by the rule of each address, whatever the rest of its file does.

use gimli::{CfaRule, CieOrFde, EhFrame, Register, RegisterRule, UnwindContext, UnwindSection};

use super::module::{Fde, Row};
use super::sections::UnwindSections;
use crate::types::Machine;

/// The bytes of entries that are decoded for one file. An entry takes its common entry's instructions along, so that a
/// hostile file could make little data much work. An LLVM has 20 MB of them.
const MAX_DECODED: usize = 256 << 20;

/// What an architecture's unwind tables say where code has a frame record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRecordRule {
    /// The frame pointer's number in DWARF.
    frame_pointer: Register,
    /// The number under which the return address is found.
    return_address: Register,
    /// CFA - stack pointer where a function begins.
    entry_cfa: i64,
    /// Where a compiler that keeps frame pointers has the caller's one, if that is always the same place: the CFA is
    /// then told by the frame pointer, too. A general register that is saved first is at this place, but the CFA goes on
    /// being told by the stack pointer.
    fixed: Option<i64>,
}

impl FrameRecordRule {
    /// The rule of a machine.
    pub fn of(machine: Machine) -> FrameRecordRule {
        match machine {
            // System V psABI for x86-64, 3.2.2 (rbp) and table 3.36 (numbers).
            Machine::X86_64 => FrameRecordRule {
                frame_pointer: Register(6),
                return_address: Register(16),
                entry_cfa: 8,
                fixed: Some(-16),
            },
            // AAPCS64, 6.4.6: a record {x29, x30} anywhere in the frame; compilers tell the CFA by the stack pointer.
            Machine::Aarch64 => {
                FrameRecordRule { frame_pointer: Register(29), return_address: Register(30), entry_cfa: 0, fixed: None }
            }
        }
    }

    fn class(&self, row: &Row) -> RowClass {
        let saved_at = |register| match row.register(register) {
            Some(RegisterRule::Offset(offset)) => Some(offset),
            _ => None,
        };
        if row.register(self.return_address) == Some(RegisterRule::Undefined) {
            return RowClass::Special;
        }
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return RowClass::Special };
        let (frame_pointer, return_address) = (saved_at(self.frame_pointer), saved_at(self.return_address));
        let has_record = match (self.fixed, frame_pointer, return_address) {
            (Some(place), Some(saved), _) => {
                saved == place && *register == self.frame_pointer && offset.checked_neg() == Some(place)
            }
            (None, Some(saved), Some(returns)) => saved.checked_add(8) == Some(returns),
            _ => false,
        };
        match () {
            () if has_record => RowClass::Record,
            () if *register != self.frame_pointer && *offset == self.entry_cfa => RowClass::Entry,
            () => RowClass::Other,
        }
    }
}

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowClass {
    /// There is a frame record.
    Record,
    /// The stack is as the caller has left it.
    Entry,
    /// Neither.
    Other,
    /// A PLT, a thread's entry, a stack that is aligned anew: nothing that compiler flags decide.
    Special,
}

/// Bytes of code, by what the tables say of frame pointers there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FramePointerUse {
    /// With a frame record: behind the prologue of functions that keep frame pointers.
    pub kept: u64,
    /// Without one, behind the prologue.
    pub omitted: u64,
    /// Of functions that never move the stack pointer: they call nothing, and hide only their own caller.
    pub frameless: u64,
    /// Of prologues and epilogues of functions that keep frame pointers, of PLTs and the like: no code of any compiler
    /// has a record there.
    pub edges: u64,
    /// Not everything was looked at: the tables are larger than any sensible file's.
    pub is_partial: bool,
}

impl FramePointerUse {
    /// Measures a file.
    pub fn measure(sections: &UnwindSections, rule: FrameRecordRule) -> FramePointerUse {
        let mut total = FramePointerUse::default();
        let (eh_frame, bases) = (sections.eh_frame(), sections.bases());
        let mut scratch = UnwindContext::new();
        let mut budget = MAX_DECODED;
        let mut entries = eh_frame.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let Ok(fde) = partial.parse(EhFrame::cie_from_offset) else { continue };
            let work = fde.entry_len().saturating_add(fde.cie().entry_len());
            let Some(left) = budget.checked_sub(work) else {
                total.is_partial = true;
                break;
            };
            budget = left;
            if let Ok(mut rows) = fde.rows(&eh_frame, &bases, &mut scratch) {
                let mut function = FunctionBytes::default();
                while let Ok(Some(row)) = rows.next_row() {
                    function.add(rule.class(row), extent(row, &fde));
                }
                total.add(if fde.is_signal_trampoline() { function.as_special() } else { function });
            }
        }
        total
    }

    /// The share of code that keeps frame pointers, from 0 to 1, of the code that could; none where there is no such code.
    pub fn share(&self) -> Option<f64> {
        let could = self.kept.saturating_add(self.omitted);
        (could > 0).then(|| self.kept as f64 / could as f64)
    }

    /// All bytes that the tables describe.
    pub fn described(&self) -> u64 {
        [self.kept, self.omitted, self.frameless, self.edges].into_iter().fold(0, u64::saturating_add)
    }

    fn add(&mut self, function: FunctionBytes) {
        let FunctionBytes { record, entry, before, other, special } = function;
        let add = |to: &mut u64, bytes: u64| *to = to.saturating_add(bytes);
        add(&mut self.edges, special);
        if record > 0 {
            add(&mut self.kept, record);
            add(&mut self.edges, entry.saturating_add(before));
            add(&mut self.omitted, other);
        } else if before > 0 {
            add(&mut self.omitted, before.saturating_add(entry));
        } else {
            add(&mut self.frameless, entry);
        }
    }
}

/// The bytes of a row that its function has.
fn extent(row: &Row, fde: &Fde<'_>) -> u64 {
    row.end_address().min(fde.end_address()).saturating_sub(row.start_address())
}

/// One function's bytes.
#[derive(Debug, Clone, Copy, Default)]
struct FunctionBytes {
    record: u64,
    entry: u64,
    /// [`RowClass::Other`] before the first record: the prologue, if one comes.
    before: u64,
    /// The same behind it.
    other: u64,
    special: u64,
}

impl FunctionBytes {
    fn add(&mut self, class: RowClass, bytes: u64) {
        let to = match class {
            RowClass::Record => &mut self.record,
            RowClass::Entry => &mut self.entry,
            RowClass::Other if self.record == 0 => &mut self.before,
            RowClass::Other => &mut self.other,
            RowClass::Special => &mut self.special,
        };
        *to = to.saturating_add(bytes);
    }

    fn as_special(self) -> FunctionBytes {
        let all = [self.record, self.entry, self.before, self.other, self.special];
        FunctionBytes { special: all.into_iter().fold(0, u64::saturating_add), ..FunctionBytes::default() }
    }
}

#[cfg(test)]
mod tests;
