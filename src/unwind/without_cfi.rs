//! Frames of code that has no tables: a libc built without (musl's), libraries like it, CPython's JIT (on AArch64 also that of 3.15)
//! and others', the trampolines of `-X perf`, functions in assembly whose authors wrote none (OpenBLAS's kernels), and on AArch64 the
//! procedure linkage table and the vDSO.
//!
//! Does: find the return address of each such frame by following its instructions to their return. Ways that disagree are judged by
//! what is at the places that they lead to: behind a call, which leads to the function that is left, and to this instruction with this
//! stack pointer. Where no way returns (a function that ends with `exit`), by where the function can begin. The code that begins a
//! thread ends the stack.
//! Does not: judge what it arrives at; that the walk from there goes where it must is for the caller to see.
//!
//! The instructions are read after the thread has run on, and may have been replaced since. Then the walk arrives
//! elsewhere.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::address_space::{AddressSpace, Code};
use super::architecture::{Architecture, CallTarget, UnwindInput};
use super::callers::{Callers, FAR, Lead, Place};
use super::code_window::CodeWindow;
use super::far_code::FarCode;
use super::return_path::{Ends, ReturnPath, ends};
use super::stack::{NativeFrame, NativeStack, StackEnd};
use super::step::StackBytes;
use super::symbolic::{Sum, Value};
use super::walk::FramePosition;
use crate::target::registers::Registers;
use crate::types::Addr;

/// Frames outside of files that are left one after the other: one of compiled code, one of the code that enters it, and room for more.
const MAX_FRAMES: usize = 64;
/// The instructions that are read to each side, in bytes, if so many are mapped: a long trace has several pages. Where
/// they lead nowhere, more are read: OpenBLAS's longest kernel has 28 KB.
const NEAR: u64 = 16 << 10;
/// Instructions of files that are remembered at most. A kernel spends its time in some hundreds.
const MAX_KNOWN: usize = 8_192;
/// Places that the code names and at which the function may begin.
const MAX_BEGINNINGS: usize = 4;
/// Bytes to each side of a call in which the code that begins a thread is seen.
const MAX_BEGINNING_OF_THREAD: u64 = 64;

/// Leaves code without tables. Remembers how a file's instructions lead to their return: the same for every thread.
#[derive(Debug, Default)]
pub struct ReturnPaths {
    ends: FxHashMap<(Addr, u64), Arc<Ends>>,
    far_ends: FxHashMap<Addr, Arc<Ends>>,
    begins_thread: FxHashMap<Addr, bool>,
    callers: Callers,
    generation: u64,
}

/// A frame that is to be left, and what is known of its registers.
#[derive(Clone, Copy)]
struct Standing<'a> {
    frame: NativeFrame,
    fp: Option<Addr>,
    /// All of them, in the innermost frame.
    registers: Option<&'a Registers>,
    stack: StackBytes<'a>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    cfa: Addr,
    pc: Addr,
    fp: Option<Addr>,
}

impl Found {
    /// Whether the frame has neither a return address nor a caller's frame pointer: the ABIs ask for both of what begins a thread. One
    /// zero alone is what most words of a stack are.
    fn is_outermost(&self) -> bool {
        self.pc.is_null() && self.fp == Some(Addr::NULL)
    }
}

/// What can be the frame's caller: the one, if there is no other. A walk that has been taken before allocates nothing.
#[derive(Default)]
struct Candidates {
    first: Option<Found>,
    count: usize,
}

impl Candidates {
    fn add(&mut self, found: Found) {
        self.first.get_or_insert(found);
        self.count += 1;
    }

    fn only(&self) -> Option<Found> {
        self.first.filter(|_| self.count == 1)
    }
}

impl Standing<'_> {
    fn place(&self) -> Place {
        Place { pc: self.frame.pc, in_call: self.frame.is_return_address }
    }

    fn find<A: Architecture>(&self, path: &ReturnPath) -> Option<Found> {
        let sp = self.frame.sp.0;
        let held = |sum: Sum| {
            let register = match sum.register {
                register if register == A::SP => Some(sp),
                register if register == A::FP => self.fp.map(|fp| fp.0),
                other => self.registers.and_then(|registers| registers.get(other.into())),
            };
            register?.checked_add_signed(sum.offset)
        };
        let value = |value: Value| match value {
            Value::Sum(sum) => held(sum),
            Value::WordAt(sum) => held(sum).filter(|slot| *slot >= sp).and_then(|slot| self.stack.word(slot)),
            Value::Unknown => None,
        };
        Some(Found {
            cfa: Addr(held(path.cfa).filter(|cfa| *cfa >= sp)?),
            pc: Addr(self.stack.without_signature(value(path.return_address)?)),
            fp: value(path.caller_fp).map(Addr),
        })
    }
}

impl ReturnPaths {
    /// Leaves the frames of code without tables that `failed` ends in, of which `fp` is the innermost's frame pointer: adds
    /// them to it, and returns the frame to go on from. Where that leads to code in no mapping, or to the thread's entry, `failed` ends
    /// there.
    pub fn leave<A: Architecture>(
        &mut self,
        failed: &mut NativeStack,
        mut fp: Option<Addr>,
        captured: UnwindInput<'_>,
        calls: &mut A::Calls,
    ) -> Option<FramePosition> {
        if !matches!(failed.end, StackEnd::NoUnwindRule(_)) {
            return None;
        }
        let space = captured.space;
        self.tidy(space);
        let stack = captured.stack_bytes();
        let mut frame = failed.frames.pop()?;
        for _ in 0..MAX_FRAMES {
            if frame.is_return_address && self.begins_thread::<A>(frame.pc, space) {
                failed.frames.push(NativeFrame { cfa: frame.sp.checked_add(8)?, ..frame });
                failed.end = StackEnd::ThreadEntry;
                return None;
            }
            let registers = failed.frames.is_empty().then_some(captured.registers);
            let standing = Standing { frame, fp, registers, stack };
            let Found { cfa, pc, fp: caller_fp } = self.caller::<A>(&standing, calls, space)?;
            failed.frames.push(NativeFrame { cfa, ..frame });
            fp = caller_fp;
            if pc.is_null() {
                failed.end = StackEnd::ThreadEntry;
                return None;
            }
            let Some(is_file) = is_file(pc, space) else {
                failed.end = StackEnd::UnmappedCode(pc);
                return None;
            };
            if is_file {
                return Some(FramePosition { pc, is_return_address: true, sp: cfa, fp });
            }
            frame = NativeFrame { pc, is_return_address: true, sp: cfa, cfa };
        }
        None
    }

    /// The frame's caller. `None` where it cannot be decided.
    fn caller<A: Architecture>(
        &mut self,
        standing: &Standing<'_>,
        calls: &mut A::Calls,
        space: &AddressSpace,
    ) -> Option<Found> {
        let place = standing.place();
        let returns = !place.in_call
            || match self.callers.call_before::<A>(place.pc, calls, space) {
                Some(CallTarget::To(callee)) => self.callers.returns::<A>(Addr(callee), space),
                _ => true,
            };
        if returns {
            for len in [NEAR, FAR] {
                let ends = self.ends::<A>(place.pc, len, space)?;
                if let Some(found) = self.judge::<A>(&ends.paths, standing, calls, space) {
                    return Some(found);
                }
            }
            let far = self.ends::<A>(place.pc, FAR, space)?;
            for found in far.far.iter().filter_map(|path| standing.find::<A>(path)) {
                if self.lead::<A>(&found, standing, calls, space) == Some(Lead::Verified) {
                    return Some(found);
                }
            }
            // By a call that does not tell: then it is for the code there to say how it returns.
            if !far.far.is_empty()
                && let Some(beyond) = self.far_ends::<A>(place.pc, space)
                && let Some(found) = self.judge::<A>(&beyond.paths, standing, calls, space)
            {
                return Some(found);
            }
        }
        self.by_beginning::<A>(standing, calls, space)
    }

    /// The one that the calls in front of the return addresses leave: one that they verify, or else the only one that can be.
    fn judge<A: Architecture>(
        &mut self,
        paths: &[ReturnPath],
        standing: &Standing<'_>,
        calls: &mut A::Calls,
        space: &AddressSpace,
    ) -> Option<Found> {
        let is_only = paths.len() == 1;
        let (mut verified, mut open) = (Candidates::default(), Candidates::default());
        for found in paths.iter().filter_map(|path| standing.find::<A>(path)) {
            match self.lead::<A>(&found, standing, calls, space) {
                _ if found.pc.is_null() && is_only && found.is_outermost() => open.add(found),
                _ if found.pc.is_null() => {}
                Some(Lead::Verified) => verified.add(found),
                Some(Lead::Open) => open.add(found),
                // What is not mapped yet, and what JITs have replaced since, is for the walk to see.
                None if is_only => open.add(found),
                Some(Lead::No) | None => {}
            }
        }
        if verified.count > 0 { verified.only() } else { open.only() }
    }

    /// What the call in front of a return address says; `None` where the code is not a file's, and no call is there.
    fn lead<A: Architecture>(
        &mut self,
        found: &Found,
        standing: &Standing<'_>,
        calls: &mut A::Calls,
        space: &AddressSpace,
    ) -> Option<Lead> {
        match self.callers.call_before::<A>(found.pc, calls, space) {
            Some(call) => {
                let is_it = |path: &ReturnPath| {
                    let other = standing.find::<A>(path);
                    other.is_some_and(|other| (other.cfa, other.pc) == (found.cfa, found.pc))
                };
                Some(self.callers.lead::<A>(call, standing.place(), is_it, space))
            }
            None if is_file(found.pc, space) == Some(true) => Some(Lead::No),
            None => None,
        }
    }

    /// By the places at which the function can begin, where it does not return: those in front of the instruction that the code
    /// names. Only what a call verifies is taken, and what leads to the code that begins the thread.
    fn by_beginning<A: Architecture>(
        &mut self,
        standing: &Standing<'_>,
        calls: &mut A::Calls,
        space: &AddressSpace,
    ) -> Option<Found> {
        let place = standing.place();
        let CodeWindow { bytes, base } = CodeWindow::around(place.pc, FAR, space)?;
        let mut starts = A::named(&bytes, base);
        starts.retain(|start| (base..=place.pc.0).contains(start));
        starts.sort_unstable_by(|a, b| b.cmp(a));
        starts.dedup();
        for start in starts.into_iter().take(MAX_BEGINNINGS) {
            for path in self.callers.since::<A>(Addr(start), place, space).iter() {
                let Some(found) = standing.find::<A>(path) else { continue };
                match self.lead::<A>(&found, standing, calls, space) {
                    _ if found.is_outermost() => return Some(found),
                    Some(Lead::Verified) => return Some(found),
                    Some(Lead::Open) if self.begins_thread::<A>(found.pc, space) => return Some(found),
                    _ => {}
                }
            }
        }
        None
    }

    /// The ways on from the code at `pc`. Code that is in no file can be another by the next time.
    fn ends<A: Architecture>(&mut self, pc: Addr, len: u64, space: &AddressSpace) -> Option<Arc<Ends>> {
        if let Some(known) = self.ends.get(&(pc, len)) {
            return Some(Arc::clone(known));
        }
        let CodeWindow { bytes, base } = CodeWindow::around(pc, len, space)?;
        let found = Arc::new(ends(&mut A::code(&bytes, base), pc.0, A::beginning()));
        if matches!(space.find(pc)?.code, Code::Module { .. }) {
            self.ends.insert((pc, len), Arc::clone(&found));
        }
        Some(found)
    }

    /// The ways on from the code at `pc` and at the far targets of its jumps. `None` where it is no file's.
    fn far_ends<A: Architecture>(&mut self, pc: Addr, space: &AddressSpace) -> Option<Arc<Ends>> {
        if let Some(known) = self.far_ends.get(&pc) {
            return Some(Arc::clone(known));
        }
        let at_hand = CodeWindow::around(pc, FAR, space).filter(|_| is_file(pc, space) == Some(true))?;
        let found = Arc::new(ends(&mut FarCode::<A>::new(at_hand, space), pc.0, A::beginning()));
        self.far_ends.insert(pc, Arc::clone(&found));
        Some(found)
    }

    fn begins_thread<A: Architecture>(&mut self, pc: Addr, space: &AddressSpace) -> bool {
        if let Some(known) = self.begins_thread.get(&pc) {
            return *known;
        }
        let look = || {
            let lookup = Addr(pc.0.checked_sub(1)?);
            let CodeWindow { bytes, base } = CodeWindow::around(lookup, MAX_BEGINNING_OF_THREAD, space)?;
            Some(A::begins_thread(&bytes, base, pc.0))
        };
        let begins = look().unwrap_or(false);
        if is_file(pc, space) == Some(true) {
            self.begins_thread.insert(pc, begins);
        }
        begins
    }

    fn tidy(&mut self, space: &AddressSpace) {
        let known = self.ends.len().max(self.begins_thread.len()).max(self.far_ends.len());
        if self.generation != space.generation() || known >= MAX_KNOWN {
            self.ends.clear();
            self.far_ends.clear();
            self.begins_thread.clear();
            self.generation = space.generation();
        }
    }
}

/// Whether a return address is in a file's code; `None` when it is in no code.
fn is_file(pc: Addr, space: &AddressSpace) -> Option<bool> {
    let lookup = Addr(pc.0.checked_sub(1)?);
    Some(matches!(space.find(lookup)?.code, Code::Module { .. }))
}

#[cfg(test)]
mod tests;
