//! Frames of code that has no tables: the JIT of CPython 3.14, the trampolines of `-X perf`, and functions in assembly
//! whose authors wrote none (OpenBLAS's kernels).
//!
//! Does: find the return address of each such frame by following its instructions to their return, up to the first
//! frame in a file's code, which must be making a call there that can have led to that code.
//! It reads x86-64's instructions: on other architectures such a frame is the end of the walk, and told as that.
//! Does not: judge what it arrives at; that the walk from there goes where it must is for the caller to see.
//!
//! The instructions are read after the thread has run on, and may have been replaced since. Then the walk arrives
//! elsewhere.

use rustc_hash::FxHashMap;

use super::address_space::{AddressSpace, Code};
use super::recover::FramePointerFinder;
use super::stack::{NativeFrame, NativeStack, StackEnd};
use super::walk::FramePosition;
use super::x86_64::registers::{BP, SP};
use super::x86_64::symbolic::{Sum, Value};
use super::x86_64::way_out::{WayOut, way_out};
use crate::capture::registers::Registers;
use crate::target::memory::Region;
use crate::types::{Addr, Svma};

/// Frames that are left one after the other: one of compiled code, one of the code that enters it, and room for more.
const MAX_FRAMES: usize = 4;
/// The instructions that are read to each side, in bytes, if so many are mapped: a long trace has several pages. Where
/// a file's lead nowhere, more are read: OpenBLAS's longest kernel has 28 KB.
const NEAR: u64 = 16 << 10;
/// The second time.
const FAR: u64 = 64 << 10;
/// Instructions of files that are remembered at most. A kernel spends its time in some hundreds.
const MAX_KNOWN: usize = 8_192;

/// Leaves code without tables. Remembers how a file's instructions lead to their return: the same for every thread.
#[derive(Debug, Default)]
pub struct WaysOut {
    known: FxHashMap<Addr, Option<WayOut>>,
    generation: u64,
}

/// What was captured of a thread, and the code that it runs.
#[derive(Debug, Clone, Copy)]
pub struct Captured<'a> {
    /// The registers, which are those of its innermost frame.
    pub registers: &'a Registers,
    /// Its stack.
    pub stack: &'a Region,
    /// The code.
    pub space: &'a AddressSpace,
}

impl WaysOut {
    /// Leaves the frames of code without tables that `failed` ends in, of which `bp` is the innermost's rbp: adds them
    /// to it, and gives the frame to go on from. Where that leads to code in no mapping, `failed` ends there.
    pub fn leave(
        &mut self,
        failed: &mut NativeStack,
        mut bp: Option<Addr>,
        captured: Captured<'_>,
        finder: &mut FramePointerFinder,
    ) -> Option<FramePosition> {
        if !matches!(failed.end, StackEnd::NoUnwindRule(_)) {
            return None;
        }
        let Captured { registers, stack, space } = captured;
        let mut frame = failed.frames.pop()?;
        for _ in 0..MAX_FRAMES {
            let way = self.find(frame.pc, space)?;
            let is_innermost = failed.frames.is_empty();
            let address = |sum: Sum| {
                let register = match sum.register {
                    SP => Some(frame.sp.0),
                    BP => bp.map(|bp| bp.0),
                    other => is_innermost.then(|| registers.get(other.into())).flatten(),
                };
                register?.checked_add_signed(sum.offset).map(Addr)
            };
            let slot = address(way.return_address).filter(|slot| *slot >= frame.sp)?;
            let caller_bp = match way.caller_bp {
                Value::Sum(sum) => address(sum),
                Value::WordAt(sum) => Some(Addr(stack.u64_at(address(sum)?)?)),
                Value::Unknown => None,
            };
            let pc = Addr(stack.u64_at(slot)?);
            let cfa = slot.checked_add(8)?;
            failed.frames.push(NativeFrame { cfa, ..frame });
            bp = caller_bp;
            let Some(is_file) = is_file(pc, space) else {
                failed.end = StackEnd::UnmappedCode(pc);
                return None;
            };
            if is_file {
                // A call by a pointer can lead anywhere; else it calls the code that was left, or a function that jumps there.
                let callee = finder.call_before(pc, space)?.callee;
                let led_here = callee.is_none_or(|Svma(callee)| {
                    let begins_here = frame.pc.0.checked_sub(callee).is_some_and(|offset| offset < FAR);
                    begins_here || finder.leads_to(Addr(callee), frame.pc, space)
                });
                let from = FramePosition { pc, is_return_address: true, sp: cfa, fp: bp };
                return led_here.then_some(from);
            }
            frame = NativeFrame { pc, is_return_address: true, sp: cfa, cfa };
        }
        None
    }

    /// The way out of the code at `pc`. Code that is in no file can be another by the next time.
    fn find(&mut self, pc: Addr, space: &AddressSpace) -> Option<WayOut> {
        let read = |len| code_around(pc, len, space).and_then(|(code, base)| way_out(&code, base.0, pc.0));
        if !matches!(space.find(pc)?.code, Code::Module { .. }) {
            return read(NEAR);
        }
        if self.generation != space.generation() || self.known.len() >= MAX_KNOWN {
            self.known.clear();
            self.generation = space.generation();
        }
        *self.known.entry(pc).or_insert_with(|| read(NEAR).or_else(|| read(FAR)))
    }
}

/// Whether a return address is in a file's code; `None` when it is in no code.
fn is_file(pc: Addr, space: &AddressSpace) -> Option<bool> {
    let lookup = Addr(pc.0.checked_sub(1)?);
    Some(matches!(space.find(lookup)?.code, Code::Module { .. }))
}

/// Up to `len` bytes of instructions to each side of `pc`, and where they begin: a trace is a loop.
fn code_around(pc: Addr, len: u64, space: &AddressSpace) -> Option<(Vec<u8>, Addr)> {
    let range = space.find(pc)?;
    let (source, bias) = match &range.code {
        Code::Anonymous { .. } => (space.run_time_code()?, 0),
        Code::Module { unwinder, bias, .. } => (unwinder.code()?, *bias),
    };
    let svma = |addr: u64| Svma(addr.wrapping_sub(bias));
    let before = len.min(pc.0.checked_sub(range.start.0)?);
    let behind = len.min(range.end.0.checked_sub(pc.0)?);
    let mut code = longest(before, |len| source.code(svma(pc.0.checked_sub(len)?), len));
    let base = Addr(pc.0.checked_sub(code.len() as u64)?);
    code.extend(longest(behind, |len| source.code(svma(pc.0), len)));
    Some((code, base))
}

/// The most bytes that can be read, up to `len`. Pages are mapped whole; a file's code can begin and end inside of one.
fn longest(len: u64, read: impl Fn(u64) -> Option<Vec<u8>>) -> Vec<u8> {
    if let Some(all) = read(len) {
        return all;
    }
    let (mut bytes, mut can, mut cannot) = (Vec::new(), 0, len);
    while cannot.saturating_sub(can) > 1 {
        let middle = can.midpoint(cannot);
        match read(middle) {
            Some(more) => (bytes, can) = (more, middle),
            None => cannot = middle,
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
