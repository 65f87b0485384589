//! Whether a call can have led to a frame of code without tables.
//!
//! Does: tell what the call in front of a return address calls; follow it through the procedure linkage table and the tail calls of
//! what it calls, to the frame's own function, and tell what that has done to the stack since. Remembers what it has read of files.
//! Does not: choose a return address.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::address_space::{AddressSpace, Code};
use super::architecture::{Architecture, CallTarget, Calls};
use super::code_window::CodeWindow;
use super::return_path::{ReturnPath, TailCalls, returns, since_entry, tail_calls};
use crate::types::{Addr, Svma};

/// The instructions that are read to each side of a function's beginning, in bytes.
const NEAR: u64 = 16 << 10;
/// How far in front of an instruction its function can begin, or behind it, in bytes: OpenBLAS's longest kernel has 28 KB.
pub(super) const FAR: u64 = 64 << 10;
/// Functions that one call leads through, one after the other.
const MAX_FUNCTIONS: usize = 16;
/// The longest call, in bytes.
const MAX_CALL: u64 = 8;
/// The most bytes of an entry of the procedure linkage table that are looked at.
const MAX_ENTRY: u64 = 16;
/// Answers that are remembered at most, of each kind.
const MAX_KNOWN: usize = 8_192;

/// A frame, by the instruction that it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The program counter.
    pub pc: Addr,
    /// Whether that is a return address: the frame makes the call in front of it.
    pub in_call: bool,
}

/// What a call says of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// It cannot have led there.
    No,
    /// It can: it calls by a pointer, or what it calls leaves by one.
    Open,
    /// It has led there: what it calls comes to the frame's instruction with the return address in this place.
    Verified,
}

/// Answers. Remembers those that are about a file's code, until the mappings change.
#[derive(Debug, Default)]
pub struct Callers {
    tail_calls: FxHashMap<Addr, Arc<TailCalls>>,
    since: FxHashMap<(Addr, Place), Arc<[ReturnPath]>>,
    returns: FxHashMap<Addr, bool>,
    generation: u64,
}

impl Callers {
    /// What the instruction in front of a return address calls; `None` when it is no call.
    pub fn call_before<A: Architecture>(
        &mut self,
        return_address: Addr,
        calls: &mut A::Calls,
        space: &AddressSpace,
    ) -> Option<CallTarget> {
        let lookup = Addr(return_address.0.checked_sub(1)?);
        let has_tables = space
            .module(lookup)
            .is_some_and(|(unwinder, bias)| unwinder.function_start(Svma(lookup.0.wrapping_sub(bias))).is_some());
        if has_tables {
            return calls.call_before(return_address, space);
        }
        let inside = CodeWindow::between(lookup, (MAX_CALL - 1, 1), space)?;
        A::call_before(&inside.bytes, return_address.0)
    }

    /// What a call says of a frame, where `is_it` tells whether a path leads to the call's return address.
    pub fn lead<A: Architecture>(
        &mut self,
        call: CallTarget,
        frame: Place,
        is_it: impl Fn(&ReturnPath) -> bool,
        space: &AddressSpace,
    ) -> Lead {
        self.tidy(space);
        let CallTarget::To(callee) = call else { return Lead::Open };
        let mut functions = vec![Addr(callee)];
        let mut is_open = false;
        let mut looked_at = 0;
        while let Some(function) = functions.get(looked_at).copied() {
            looked_at += 1;
            let is_near = function.0.abs_diff(frame.pc.0) < FAR;
            if is_near {
                let paths = self.since::<A>(function, frame, space);
                if !paths.is_empty() {
                    return if paths.iter().any(&is_it) { Lead::Verified } else { Lead::No };
                }
            }
            let leaves = self.tail_calls::<A>(function, space);
            let TailCalls { to, by_pointer, is_partial } = &*leaves;
            is_open |= *is_partial && is_near && function <= frame.pc;
            match through_linkage::<A>(function, space) {
                Some(Some(linked)) => functions.push(linked),
                Some(None) => is_open = true,
                None => is_open |= *by_pointer,
            }
            functions.extend(to.iter().copied().map(Addr));
            functions.dedup();
            if functions.len() > MAX_FUNCTIONS {
                return Lead::Open;
            }
        }
        if is_open { Lead::Open } else { Lead::No }
    }

    /// What the function at `start` leaves to its caller where it has come to the frame's instruction.
    pub fn since<A: Architecture>(&mut self, start: Addr, frame: Place, space: &AddressSpace) -> Arc<[ReturnPath]> {
        self.tidy(space);
        if let Some(known) = self.since.get(&(start, frame)) {
            return Arc::clone(known);
        }
        let Some(CodeWindow { bytes, base }) = CodeWindow::around(frame.pc, FAR, space) else { return Arc::default() };
        let way = (start.0, frame.pc.0);
        let paths: Arc<[_]> = since_entry(&mut A::code(&bytes, base), way, frame.in_call, A::beginning()).into();
        if is_file(frame.pc, space) {
            self.since.insert((start, frame), Arc::clone(&paths));
        }
        paths
    }

    /// Whether a function can return.
    pub fn returns<A: Architecture>(&mut self, function: Addr, space: &AddressSpace) -> bool {
        self.tidy(space);
        if let Some(known) = self.returns.get(&function) {
            return *known;
        }
        let Some(CodeWindow { bytes, base }) = CodeWindow::around(function, NEAR, space) else { return true };
        let can = returns(&mut A::code(&bytes, base), function.0, &A::beginning());
        if is_file(function, space) {
            self.returns.insert(function, can);
        }
        can
    }

    fn tail_calls<A: Architecture>(&mut self, function: Addr, space: &AddressSpace) -> Arc<TailCalls> {
        if let Some(known) = self.tail_calls.get(&function) {
            return Arc::clone(known);
        }
        let Some(CodeWindow { bytes, base }) = CodeWindow::around(function, NEAR, space) else {
            return Arc::default();
        };
        let calls = Arc::new(tail_calls(&mut A::code(&bytes, base), function.0, A::beginning()));
        if is_file(function, space) {
            self.tail_calls.insert(function, Arc::clone(&calls));
        }
        calls
    }

    fn tidy(&mut self, space: &AddressSpace) {
        let len = self.tail_calls.len().max(self.since.len()).max(self.returns.len());
        if self.generation != space.generation() || len >= MAX_KNOWN {
            *self = Callers { generation: space.generation(), ..Callers::default() };
        }
    }
}

/// Where an entry of the procedure linkage table leads, if the address is one's; `Some(None)` where its slot cannot be read.
fn through_linkage<A: Architecture>(function: Addr, space: &AddressSpace) -> Option<Option<Addr>> {
    let CodeWindow { bytes, base } = CodeWindow::between(function, (0, MAX_ENTRY), space)?;
    let slot = A::linkage_slot(&bytes, base)?;
    let word = space.anonymous_code().and_then(|memory| memory.code(Svma(slot), 8));
    Some(word.and_then(|word| Some(Addr(u64::from_le_bytes(*word.first_chunk()?)))))
}

fn is_file(pc: Addr, space: &AddressSpace) -> bool {
    space.find(pc).is_some_and(|range| matches!(range.code, Code::Module { .. }))
}
