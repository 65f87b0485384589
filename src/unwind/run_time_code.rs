//! Frames of code that has no tables: the JIT of CPython 3.14, the trampolines of `-X perf`, and functions in assembly
//! whose authors wrote none (OpenBLAS's kernels).
//!
//! Does: find the return address of each such frame by following its instructions to their return, up to the first
//! frame in a file's code, which must be making a call there that can have led to that code.
//! Does not: judge what it arrives at; that the walk from there goes where it must is for the caller to see.
//!
//! The instructions are read after the thread has run on, and may have been replaced since. Then the walk arrives
//! elsewhere.

use super::address_space::{AddressSpace, Code};
use super::recover::FramePointerFinder;
use super::stack::{NativeFrame, NativeStack, StackEnd};
use super::walk::FramePosition;
use super::x86_64::way_out::way_out;
use crate::target::memory::Region;
use crate::types::{Addr, Svma};

/// Frames that are left one after the other: one of compiled code, one of the code that enters it, and room for more.
const MAX_FRAMES: usize = 4;
/// The instructions that are read to each side, in bytes, if so many are mapped: a long trace has several pages.
const MAX_CODE: u64 = 16 << 10;

/// Leaves the frames of code without tables that `failed` ends in, of which `bp` is the innermost's rbp: adds them to
/// it, and gives the frame to go on from.
pub fn leave(
    failed: &mut NativeStack,
    mut bp: Option<Addr>,
    stack: &Region,
    space: &AddressSpace,
    finder: &mut FramePointerFinder,
) -> Option<FramePosition> {
    if !matches!(failed.end, StackEnd::NoUnwindRule(_)) {
        return None;
    }
    let mut frame = failed.frames.pop()?;
    for _ in 0..MAX_FRAMES {
        let (code, base) = code_around(frame.pc, space)?;
        let way = way_out(&code, base.0, frame.pc.0)?;
        let slot = frame.sp.checked_add(way.return_address)?;
        if let Some(saved) = way.saved_bp {
            bp = Some(Addr(stack.u64_at(frame.sp.checked_add(saved)?)?));
        }
        let pc = Addr(stack.u64_at(slot)?);
        let cfa = slot.checked_add(8)?;
        failed.frames.push(NativeFrame { cfa, ..frame });
        if is_file(pc, space)? {
            // A call by a pointer can lead anywhere; else it calls the code that was left, or a function that jumps there.
            let callee = finder.call_before(pc, space)?.callee;
            let led_here = callee.is_none_or(|Svma(callee)| {
                let begins_here = frame.pc.0.checked_sub(callee).is_some_and(|offset| offset < MAX_CODE);
                begins_here || finder.leads_to(Addr(callee), frame.pc, space)
            });
            let from = FramePosition { pc, is_return_address: true, sp: cfa, bp };
            return led_here.then_some(from);
        }
        frame = NativeFrame { pc, is_return_address: true, sp: cfa, cfa };
    }
    None
}

/// Whether a return address is in a file's code; `None` when it is in no code.
fn is_file(pc: Addr, space: &AddressSpace) -> Option<bool> {
    let lookup = Addr(pc.0.checked_sub(1)?);
    Some(matches!(space.find(lookup)?.code, Code::Module { .. }))
}

/// The instructions around `pc`, in code without tables, and where they begin: a trace is a loop.
fn code_around(pc: Addr, space: &AddressSpace) -> Option<(Vec<u8>, Addr)> {
    let range = space.find(pc)?;
    let start = range.start.max(Addr(pc.0.saturating_sub(MAX_CODE)));
    let end = range.end.min(Addr(pc.0.saturating_add(MAX_CODE)));
    let len = end.0.checked_sub(start.0)?;
    let code = match &range.code {
        Code::Anonymous { .. } => space.run_time_code()?.code(Svma(start.0), len),
        Code::Module { unwinder, bias, .. } => unwinder.code()?.code(Svma(start.0.wrapping_sub(*bias)), len),
    };
    Some((code?, start))
}
