//! Who called a function that keeps its return address in x30, in a thread that was not stopped: the kernel shows its pc and
//! sp only.
//!
//! Does: find the caller by the record that stands above the leaf's frame. That record is the caller's own, so it tells who
//! called the caller: the instruction there names the function that was called, through the procedure linkage table or not; it
//! is the caller, or jumps to it at its end; and the caller's own instructions tell the place where it calls the leaf. All of it
//! must agree with the tables: they put a record at that place of the caller's frame during the call, and there is one such call.
//! Does not: guess. A caller that is called by a pointer, or calls the leaf by one or twice, is not found.
//!
//! ```text
//!   _Py_read:         read@plt: read:           __syscall_cancel:            the leaf (glibc: where threads can be cancelled)
//!     bl read@plt ──▶  br x17 ──▶  b the next ──▶ stp x29, x30, [sp, #-16]!
//!     … ◀── record: x30                           bl the leaf ──────────────▶ svc #0
//!                                                 … ◀── x30, not on the stack
//! ```

use rustc_hash::FxHashMap;

use super::Aarch64;
use super::instruction::{Branch, LEN};
use super::linkage::{self, MAX_ENTRY};
use super::rule::{Place, UnwindRule};
use crate::types::{Addr, Svma};
use crate::unwind::address_space::AddressSpace;
use crate::unwind::architecture::{CallTarget, Calls, UnwindInput};
use crate::unwind::stack::NativeStack;
use crate::unwind::walk::FramePosition;

/// The longest caller whose instructions are looked through, in bytes.
const MAX_FUNCTION: u64 = 64 << 10;
/// How far above its sp a caller's record is looked for, in bytes: below it are arguments that it passes on the stack.
const MAX_ARGUMENTS: u64 = 256;
/// Functions that are looked through for one call: those that jump to each other at their ends.
const MAX_FUNCTIONS: usize = 8;
/// Callers that are remembered at most. A program waits in a few places.
const MAX_KNOWN: usize = 4_096;

/// Finds the callers of leaves. Remembers what it has decoded.
#[derive(Debug, Default)]
pub struct LeafCallers {
    known: FxHashMap<Search, Option<Addr>>,
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
    fn call_before(&mut self, return_address: Addr, space: &AddressSpace) -> Option<CallTarget> {
        match branch_before(return_address, space)? {
            Branch::Call(callee) => Some(CallTarget::To(callee)),
            Branch::CallRegister => Some(CallTarget::Pointer),
            _ => None,
        }
    }

    fn recover(&mut self, failed: &mut NativeStack, captured: UnwindInput<'_>) -> Option<FramePosition> {
        let [frame] = failed.frames.as_mut_slice() else { return None };
        if frame.is_return_address {
            return None;
        }
        let space = captured.space;
        let (unwinder, bias) = space.module(frame.pc)?;
        let svma = Svma(frame.pc.0.wrapping_sub(bias));
        let UnwindRule::FromSp(saved) = unwinder.rule::<Aarch64>(svma)? else { return None };
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
        let Some(Branch::Call(called)) = branch_before(return_address, space) else { return None };
        let mut functions = vec![through_linkage(called, space)?];
        let mut calls = Vec::new();
        let mut looked_through = 0;
        while let Some(start) = functions.get(looked_through).copied() {
            looked_through += 1;
            for (address, branch) in branches(start, space)? {
                match branch {
                    Branch::Call(callee) if callee == leaf.0 => calls.push(address),
                    // Where a function ends in that of another, the other has its frame's place.
                    Branch::Always(to) if starts_function(to, space) && !functions.contains(&to) => functions.push(to),
                    _ => {}
                }
            }
            if functions.len() > MAX_FUNCTIONS {
                return None;
            }
        }
        calls.retain(|call| {
            let rule = space
                .module(Addr(*call))
                .and_then(|(unwinder, bias)| unwinder.rule::<Aarch64>(Svma(call.wrapping_sub(bias))));
            rule.and_then(record_above_sp) == Some(record)
        });
        let [call] = calls[..] else { return None };
        Addr(call).checked_add(LEN)
    }
}

/// The function that a call leads to: itself, or what the entry of the procedure linkage table there takes from its slot.
fn through_linkage(called: u64, space: &AddressSpace) -> Option<u64> {
    let (unwinder, bias) = space.module(Addr(called))?;
    let entry = unwinder.code()?.code(Svma(called.wrapping_sub(bias)), MAX_ENTRY)?;
    let Some(slot) = linkage::slot(&entry, called) else { return Some(called) };
    let word = space.anonymous_code()?.code(Svma(slot), 8)?;
    Some(u64::from_le_bytes(*word.first_chunk()?))
}

/// The branches of the function that starts at an address, with their addresses; `None` when none starts there.
fn branches(start: u64, space: &AddressSpace) -> Option<Vec<(u64, Branch)>> {
    let (unwinder, bias) = space.module(Addr(start))?;
    let svma = Svma(start.wrapping_sub(bias));
    let (_, end) = unwinder.function_start(svma).filter(|(first, _)| *first == svma)?;
    let len = end.0.checked_sub(svma.0).filter(|len| *len <= MAX_FUNCTION)?;
    let bytes = unwinder.code()?.code(svma, len)?;
    let words = (start..).step_by(LEN as usize).zip(bytes.as_chunks::<4>().0);
    let branch =
        |(address, word): (u64, &[u8; 4])| Some((address, Branch::decode(u32::from_le_bytes(*word), address)?));
    Some(words.filter_map(branch).collect())
}

fn starts_function(address: u64, space: &AddressSpace) -> bool {
    space.module(Addr(address)).is_some_and(|(unwinder, bias)| {
        let svma = Svma(address.wrapping_sub(bias));
        unwinder.function_start(svma).is_some_and(|(start, _)| start == svma)
    })
}

/// How far above sp the row says that the record of x29 and x30 is.
fn record_above_sp(rule: UnwindRule) -> Option<u64> {
    let UnwindRule::FromSp(saved) = rule else { return None };
    let (fp, lr) = (saved.fp.offset()?, saved.lr.offset()?);
    (fp.checked_add(8) == Some(lr)).then(|| saved.distance().checked_add_signed(fp))?
}

fn branch_before(return_address: Addr, space: &AddressSpace) -> Option<Branch> {
    let call = Addr(return_address.0.checked_sub(LEN)?);
    let (unwinder, bias) = space.module(call)?;
    let bytes = unwinder.code()?.code(Svma(call.0.wrapping_sub(bias)), LEN)?;
    Branch::decode(u32::from_le_bytes(*bytes.first_chunk()?), call.0)
}

#[cfg(test)]
mod tests;
