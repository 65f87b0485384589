//! Frames of code that has no tables: CPython's JIT (on AArch64 also that of 3.15), the trampolines of `-X perf`, functions in
//! assembly whose authors wrote none (OpenBLAS's kernels), and on AArch64 the procedure linkage table and the vDSO.
//!
//! Does: find the return address of each such frame by following its instructions to their return, up to the first
//! frame in a file's code, which must be making a call there that can have led to that code.
//! Does not: judge what it arrives at; that the walk from there goes where it must is for the caller to see.
//!
//! The instructions are read after the thread has run on, and may have been replaced since. Then the walk arrives
//! elsewhere.

use rustc_hash::FxHashMap;

use super::address_space::{AddressSpace, Code};
use super::architecture::{Architecture, Calls, UnwindInput};
use super::return_path::ReturnPath;
use super::stack::{NativeFrame, NativeStack, StackEnd};
use super::symbolic::{Sum, Value};
use super::walk::FramePosition;
use crate::types::{Addr, Svma};

/// Frames that are left one after the other: one of compiled code, one of the code that enters it, and room for more.
const MAX_FRAMES: usize = 4;
/// The instructions that are read to each side, in bytes, if so many are mapped: a long trace has several pages. Where
/// a file's lead nowhere, more are read: OpenBLAS's longest kernel has 28 KB.
const NEAR: u64 = 16 << 10;
/// The second time.
pub(super) const FAR: u64 = 64 << 10;
/// Instructions of files that are remembered at most. A kernel spends its time in some hundreds.
const MAX_KNOWN: usize = 8_192;

/// Leaves code without tables. Remembers how a file's instructions lead to their return: the same for every thread.
#[derive(Debug, Default)]
pub struct ReturnPaths {
    known: FxHashMap<Addr, Option<ReturnPath>>,
    generation: u64,
}

impl ReturnPaths {
    /// Leaves the frames of code without tables that `failed` ends in, of which `fp` is the innermost's frame pointer: adds
    /// them to it, and returns the frame to go on from. Where that leads to code in no mapping, `failed` ends there.
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
        let UnwindInput { registers, space, .. } = captured;
        let stack = captured.stack_bytes();
        let mut frame = failed.frames.pop()?;
        for _ in 0..MAX_FRAMES {
            let path = self.find::<A>(frame.pc, space)?;
            let is_innermost = failed.frames.is_empty();
            let held = |sum: Sum| {
                let register = match sum.register {
                    register if register == A::SP => Some(frame.sp.0),
                    register if register == A::FP => fp.map(|fp| fp.0),
                    other => is_innermost.then(|| registers.get(other.into())).flatten(),
                };
                register?.checked_add_signed(sum.offset)
            };
            let value = |value: Value| match value {
                Value::Sum(sum) => held(sum),
                Value::WordAt(sum) => held(sum).filter(|slot| *slot >= frame.sp.0).and_then(|slot| stack.word(slot)),
                Value::Unknown => None,
            };
            let cfa = Addr(held(path.cfa).filter(|cfa| *cfa >= frame.sp.0)?);
            let pc = Addr(stack.without_signature(value(path.return_address)?));
            let caller_fp = value(path.caller_fp).map(Addr);
            failed.frames.push(NativeFrame { cfa, ..frame });
            fp = caller_fp;
            let Some(is_file) = is_file(pc, space) else {
                failed.end = StackEnd::UnmappedCode(pc);
                return None;
            };
            if is_file {
                let from = FramePosition { pc, is_return_address: true, sp: cfa, fp };
                return calls.can_lead_to(pc, frame.pc, space).then_some(from);
            }
            frame = NativeFrame { pc, is_return_address: true, sp: cfa, cfa };
        }
        None
    }

    /// The return path of the code at `pc`. Code that is in no file can be another by the next time.
    fn find<A: Architecture>(&mut self, pc: Addr, space: &AddressSpace) -> Option<ReturnPath> {
        let read = |len| code_around(pc, len, space).and_then(|(code, base)| A::return_path(&code, base.0, pc.0));
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
        Code::Anonymous { .. } => (&**space.anonymous_code()?, 0),
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
