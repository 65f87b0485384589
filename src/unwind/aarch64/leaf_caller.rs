//! Who called a function that keeps its return address in x30, in a thread that was not stopped: the kernel shows its pc and
//! sp only.
//!
//! Does: find the caller by the record that stands above the leaf's frame. That record is the caller's own, so it tells who
//! called the caller: the instruction there names the caller's start, and the caller's own instructions the place where it calls
//! the leaf. All of it must agree with the tables: they put a record at that place of the caller's frame during the call, and
//! there is one such call.
//! Does not: guess. A caller that is called by a pointer, or calls the leaf through the procedure linkage table or twice, is
//! not found.
//!
//! ```text
//!   read:                  __syscall_cancel:            the leaf (glibc: all calls in which threads are cancelled wait there)
//!     bl __syscall_cancel ──▶ stp x29, x30, [sp, #-16]!
//!     … ◀── record: x30       bl the leaf ───────────────▶ svc #0
//!                             … ◀── x30, not on the stack
//! ```

use rustc_hash::FxHashMap;

use super::Aarch64;
use super::instruction::{Branch, LEN};
use super::rule::{Place, UnwindRule};
use crate::types::{Addr, Svma};
use crate::unwind::address_space::{AddressSpace, Code};
use crate::unwind::architecture::{Calls, Captured};
use crate::unwind::module::{ModuleUnwinder, UnwindScratch};
use crate::unwind::stack::NativeStack;
use crate::unwind::walk::FramePosition;

/// The longest caller whose instructions are looked through, in bytes.
const MAX_FUNCTION: u64 = 64 << 10;
/// How far above its sp a caller's record is looked for, in bytes: below it are arguments that it passes on the stack.
const MAX_ARGUMENTS: u64 = 256;
/// Callers that are remembered at most. A program waits in a few places.
const MAX_KNOWN: usize = 4_096;

/// Finds the callers of leaves. Remembers what it has decoded.
#[derive(Debug, Default)]
pub struct LeafCallers {
    known: FxHashMap<Search, Option<Addr>>,
    scratch: UnwindScratch,
    generation: u64,
}

/// What tells the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Search {
    /// Where the leaf begins.
    leaf: Addr,
    /// Where the caller's caller goes on.
    return_address: Addr,
    /// From the caller's sp to its record, in bytes.
    record: u64,
}

impl Calls for LeafCallers {
    /// Where it is a call is all that is looked at: entries of the procedure linkage table are jumped to, too.
    fn can_lead_to(&mut self, return_address: Addr, _: Addr, space: &AddressSpace) -> bool {
        matches!(branch_before(return_address, space), Some(Branch::Call(_) | Branch::CallRegister))
    }

    fn recover(&mut self, failed: &mut NativeStack, captured: Captured<'_>) -> Option<FramePosition> {
        let [frame] = failed.frames.as_mut_slice() else { return None };
        if frame.is_return_address {
            return None;
        }
        let space = captured.space;
        let (unwinder, bias) = module(space, frame.pc)?;
        let svma = Svma(frame.pc.0.wrapping_sub(bias));
        let UnwindRule::FromSp(saved) = unwinder.rule::<Aarch64>(svma, &mut self.scratch)? else { return None };
        if saved.lr != Place::SAME {
            return None;
        }
        let leaf = Addr(unwinder.function_start(svma)?.0.0.wrapping_add(bias));
        let end = frame.sp.checked_add(saved.distance())?;
        let stack = captured.stack_bytes();
        let pc = (0..MAX_ARGUMENTS).step_by(16).find_map(|record| {
            let (_, return_address) = stack.pair(end.0.checked_add(record)?)?;
            let return_address = Addr(stack.without_signature(return_address));
            self.caller(Search { leaf, return_address, record }, space)
        })?;
        frame.cfa = end;
        Some(FramePosition { pc, is_return_address: true, sp: end, fp: None })
    }
}

impl LeafCallers {
    /// Where the caller goes on behind its call of the leaf.
    fn caller(&mut self, search: Search, space: &AddressSpace) -> Option<Addr> {
        if self.generation != space.generation() || self.known.len() >= MAX_KNOWN {
            self.known.clear();
            self.generation = space.generation();
        }
        if let Some(known) = self.known.get(&search) {
            return *known;
        }
        let found = self.look_for(search, space);
        self.known.insert(search, found);
        found
    }

    fn look_for(&mut self, Search { leaf, return_address, record }: Search, space: &AddressSpace) -> Option<Addr> {
        let Some(Branch::Call(start)) = branch_before(return_address, space) else { return None };
        let (unwinder, bias) = module(space, Addr(start))?;
        let svma = Svma(start.wrapping_sub(bias));
        let (_, end) = unwinder.function_start(svma).filter(|(first, _)| *first == svma)?;
        let len = end.0.checked_sub(svma.0).filter(|len| *len <= MAX_FUNCTION)?;
        let bytes = unwinder.code()?.code(svma, len)?;
        let mut calls = (start..).step_by(LEN as usize).zip(bytes.as_chunks::<4>().0).filter(|(address, word)| {
            Branch::decode(u32::from_le_bytes(**word), *address) == Some(Branch::Call(leaf.0))
        });
        let (call, _) = calls.next()?;
        let is_only_one = calls.next().is_none();
        let row = unwinder.rule::<Aarch64>(Svma(call.wrapping_sub(bias)), &mut self.scratch)?;
        (is_only_one && record_above_sp(row) == Some(record)).then(|| Addr(call).checked_add(LEN))?
    }
}

/// How far above sp the row says that the record of x29 and x30 is.
fn record_above_sp(rule: UnwindRule) -> Option<u64> {
    let UnwindRule::FromSp(saved) = rule else { return None };
    let (fp, lr) = (saved.fp.offset()?, saved.lr.offset()?);
    (fp.checked_add(8) == Some(lr)).then(|| saved.distance().checked_add_signed(fp))?
}

fn branch_before(return_address: Addr, space: &AddressSpace) -> Option<Branch> {
    let call = Addr(return_address.0.checked_sub(LEN)?);
    let (unwinder, bias) = module(space, call)?;
    let bytes = unwinder.code()?.code(Svma(call.0.wrapping_sub(bias)), LEN)?;
    Branch::decode(u32::from_le_bytes(*bytes.first_chunk()?), call.0)
}

fn module(space: &AddressSpace, addr: Addr) -> Option<(&ModuleUnwinder, u64)> {
    match &space.find(addr)?.code {
        Code::Module { unwinder, bias, .. } => Some((unwinder, *bias)),
        Code::Anonymous { .. } => None,
    }
}

#[cfg(test)]
#[path = "leaf_caller/tests.rs"]
mod tests;
