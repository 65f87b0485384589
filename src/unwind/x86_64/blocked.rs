//! The frame pointer of a thread that was not stopped: the kernel shows its pc and sp only.
//!
//! Does: where a walk has come to a frame whose CFA the tables state by rbp, find rbp from the frame's size at the
//! call in progress, and check all that can be checked of it: there is a frame record, it returns behind a call, and
//! that call leads to this function.
//! Does not: walk on from there; that the walk then arrives where it must is for the caller to see.

use rustc_hash::FxHashMap;

use super::X86_64;
use super::call_site::{CallSite, FunctionCode, MAX_FUNCTION};
use super::rule::UnwindRule;
use crate::target::memory::Region;
use crate::types::{Addr, Svma};
use crate::unwind::address_space::AddressSpace;
use crate::unwind::architecture::{CallTarget, Calls, UnwindInput};
use crate::unwind::module::ModuleUnwinder;
use crate::unwind::stack::{NativeFrame, NativeStack};
use crate::unwind::step::StackBytes;
use crate::unwind::walk::FramePosition;

/// Calls that are remembered at most. A program waits in a few places.
const MAX_KNOWN: usize = 4_096;

/// Bytes of an entry of the procedure linkage table (psABI, 5.2).
const PLT_ENTRY: u64 = 16;

/// Finds frame pointers. Remembers the calls that it has decoded.
#[derive(Debug, Default)]
pub struct FramePointerFinder {
    sites: FxHashMap<Addr, Option<CallSite>>,
    hand_overs: FxHashMap<(Addr, Addr), bool>,
    generation: u64,
}

impl FramePointerFinder {
    /// The rbp of `frame`, in which a call is in progress, when all that can be checked of it holds.
    pub fn find(&mut self, frame: &NativeFrame, stack: &Region, space: &AddressSpace) -> Option<Addr> {
        if !frame.is_return_address {
            return None;
        }
        let (unwinder, bias) = space.module(frame.lookup_address())?;
        let svma = Svma(frame.lookup_address().0.wrapping_sub(bias));
        if unwinder.rule::<X86_64>(svma)? != UnwindRule::FrameRecord {
            return None;
        }
        let depth = self.site_before(frame.pc, space)?.depth?;
        let cfa = frame.sp.checked_add(depth)?;
        let record = Addr(cfa.0.checked_sub(16).filter(|record| *record >= frame.sp.0)?);
        let (next_record, return_address) = StackBytes::new(stack).pair(record.0)?;
        let goes_up = next_record > record.0 && next_record.is_multiple_of(8);
        let caller = self.site_before(Addr(return_address), space)?;
        let start = unwinder.function_start(svma)?.0;
        let start = Addr(start.0.wrapping_add(bias));
        let leads_here = caller.callee.is_none_or(|Svma(callee)| self.leads_to(Addr(callee), start, space));
        (goes_up && leads_here).then_some(record)
    }

    /// The call that returns to `address`; what it calls is an address of the target here.
    fn site_before(&mut self, address: Addr, space: &AddressSpace) -> Option<CallSite> {
        if self.generation != space.generation() || self.sites.len().max(self.hand_overs.len()) >= MAX_KNOWN {
            self.sites.clear();
            self.hand_overs.clear();
            self.generation = space.generation();
        }
        if let Some(known) = self.sites.get(&address) {
            return *known;
        }
        let site = self.decode(address, space);
        self.sites.insert(address, site);
        site
    }

    fn decode(&mut self, address: Addr, space: &AddressSpace) -> Option<CallSite> {
        let lookup = Addr(address.0.checked_sub(1)?);
        let (unwinder, bias) = space.module(lookup)?;
        let svma = |addr: Addr| Svma(addr.0.wrapping_sub(bias));
        let site = with_function(unwinder, svma(lookup), |f| f.call_before(svma(address)))??;
        Some(CallSite { callee: site.callee.map(|callee| Svma(callee.0.wrapping_add(bias))), ..site })
    }

    /// Whether a call of `callee` can be in progress in the function at `start`: it is that function, or jumps to it.
    fn leads_to(&mut self, callee: Addr, start: Addr, space: &AddressSpace) -> bool {
        if callee == start {
            return true;
        }
        if let Some(known) = self.hand_overs.get(&(callee, start)) {
            return *known;
        }
        let jumps = space.module(callee).and_then(|(unwinder, bias)| {
            let svma = |addr: Addr| Svma(addr.0.wrapping_sub(bias));
            let jumps = with_function(unwinder, svma(callee), |f| f.jumps_to(svma(start)));
            jumps.or_else(|| stub_jumps_to(unwinder, svma(callee), svma(start)))
        });
        let jumps = jumps.unwrap_or(false);
        self.hand_overs.insert((callee, start), jumps);
        jumps
    }
}

impl Calls for FramePointerFinder {
    fn call_before(&mut self, return_address: Addr, space: &AddressSpace) -> Option<CallTarget> {
        let call = self.site_before(return_address, space)?;
        Some(call.callee.map_or(CallTarget::Pointer, |Svma(callee)| CallTarget::To(callee)))
    }

    /// The frame pointer of the last frame.
    fn recover(&mut self, failed: &mut NativeStack, captured: UnwindInput<'_>) -> Option<FramePosition> {
        let fp = self.find(failed.frames.last()?, captured.stack, captured.space)?;
        let NativeFrame { pc, sp, is_return_address, .. } = failed.frames.pop()?;
        Some(FramePosition { pc, is_return_address, sp, fp: Some(fp) })
    }
}

/// Whether the stub at `stub`, which is not in the tables, jumps to `other` or where a table says. lld describes none of the
/// entries of `.plt`.
fn stub_jumps_to(module: &ModuleUnwinder, stub: Svma, other: Svma) -> Option<bool> {
    let bytes = module.code()?.code(stub, PLT_ENTRY)?;
    Some(FunctionCode { start: stub, bytes: &bytes, entry_depth: None }.jumps_to(other))
}

/// Calls `f` with the code of the function that covers `svma`.
fn with_function<T>(module: &ModuleUnwinder, svma: Svma, f: impl FnOnce(&FunctionCode<'_>) -> T) -> Option<T> {
    let (start, end) = module.function_start(svma)?;
    let len = end.0.checked_sub(start.0).filter(|len| *len <= MAX_FUNCTION)?;
    let bytes = module.code()?.code(start, len)?;
    let entry_depth = match module.rule::<X86_64>(start)? {
        UnwindRule::FromSp { offset, .. } => Some(i64::from(offset)),
        _ => None,
    };
    Some(f(&FunctionCode { start, bytes: &bytes, entry_depth }))
}

#[cfg(test)]
mod tests;
