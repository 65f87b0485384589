//! How large a frame is at one of its calls, and what the call calls: read from the function's own instructions.
//!
//! Does: follow rsp from the function's entry through its direct branches to the call, for the one case in which the
//! tables do not help: they state the CFA by rbp, and rbp is not known.
//! Does not: know what an instruction does (`effect`), or guess. rsp changed by a number that is not in the code (`alloca`, an
//! aligned frame), or two ways to the call that disagree, and there is no answer.

use std::ops::ControlFlow;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, Register};
use rustc_hash::{FxHashMap, FxHashSet};

use super::effect::{FOLLOWED, address_of_operand, apply};
use super::instruction::Branch;
use super::registers::{FP, SP};
use crate::types::Svma;
use crate::unwind::symbolic::{State, Sum, Value};

/// The longest function that is decoded, in bytes. CPython's eval loop has 82 KB.
pub const MAX_FUNCTION: u64 = 256 << 10;
/// Instructions from a function's entry in which a jump is looked for that hands over to another function.
const MAX_STUB: usize = 4_096;
/// Passes over a function: each one learns what backward branches bring. Calls that do not return cost one too.
const MAX_PASSES: usize = 24;
/// Bytes from rbp to the CFA in a frame with a record.
const RECORD_DEPTH: i64 = 16;

/// The code of one function, or of one part of it.
#[derive(Debug, Clone, Copy)]
pub struct FunctionCode<'a> {
    /// Its first address.
    pub start: Svma,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Bytes from rsp to the CFA at its first instruction; `None` where the tables state the CFA by rbp there: a part
    /// that is split off, and begins in the middle of its function.
    pub entry_depth: Option<i64>,
}

/// A call, by the address it returns to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSite {
    /// Bytes from rsp to the CFA while the call is in progress, not counting its own return address.
    pub depth: Option<u64>,
    /// What it calls, unless the address is in a register or in memory.
    pub callee: Option<Svma>,
}

/// What happens to rsp at an address, in bytes from rsp to the CFA.
#[derive(Default)]
struct Depths {
    /// What branches bring to their targets.
    joined: FxHashMap<u64, i64>,
    /// The depth at jumps of which it is not known where they lead; `Some(None)` when they disagree.
    body: Option<Option<i64>>,
    /// Return addresses of calls that do not return: what follows is reached from elsewhere only.
    not_returned_to: FxHashSet<u64>,
}

/// Why a pass ended early.
enum Stop {
    /// The pass must be made again: something has been learned that makes its beginning wrong.
    Again,
    /// rsp is changed in a way that the code does not tell.
    Refused,
}

impl FunctionCode<'_> {
    /// The call that returns to `address`. `None` when no call ends there.
    pub fn call_before(&self, address: Svma) -> Option<CallSite> {
        let call = self.instructions().find(|i| i.next_ip() == address.0)?;
        let callee = match Branch::of(&call)? {
            Branch::Call(callee) => Some(Svma(callee)),
            Branch::CallPointer => None,
            _ => return None,
        };
        let depth = self.depth_at(call.ip()).and_then(|depth| u64::try_from(depth).ok());
        Some(CallSite { depth, callee })
    }

    /// Whether the function can leave for `other` by a jump: a tail call, or a stub that jumps where a table says.
    pub fn jumps_to(&self, other: Svma) -> bool {
        let mut branches = self.instructions().take(MAX_STUB).filter_map(|instruction| Branch::of(&instruction));
        branches.any(|branch| branch == Branch::Pointer || branch == Branch::Always(other.0))
    }

    fn instructions(&self) -> impl Iterator<Item = Instruction> + '_ {
        let mut decoder = Decoder::with_ip(64, self.bytes, self.start.0, DecoderOptions::NONE);
        std::iter::from_fn(move || decoder.can_decode().then(|| decoder.decode()).filter(|i| !i.is_invalid()))
    }

    /// Bytes from rsp to the CFA before the instruction at `address`.
    fn depth_at(&self, address: u64) -> Option<i64> {
        let mut depths = Depths::default();
        for _ in 0..MAX_PASSES {
            let known = (depths.joined.len(), depths.body);
            match self.pass(&mut depths, address) {
                ControlFlow::Break(Stop::Refused) => return None,
                ControlFlow::Break(Stop::Again) => {
                    depths.joined.clear();
                    depths.body = depths.body.filter(Option::is_none);
                }
                // The last pass has learned nothing new, so that no later way can contradict it.
                ControlFlow::Continue(found) if known == (depths.joined.len(), depths.body) => return found,
                ControlFlow::Continue(_) => {}
            }
        }
        None
    }

    /// Goes through all instructions once. Returns the depth at `address`.
    fn pass(&self, depths: &mut Depths, address: u64) -> ControlFlow<Stop, Option<i64>> {
        let end = self.start.0.saturating_add(self.bytes.len() as u64);
        let (mut depth, mut found, mut after_call, mut probed) = (self.entry_depth, None, None, None);
        let mut effect = State::beginning(FOLLOWED, SP);
        for instruction in self.instructions() {
            let ip = instruction.ip();
            match (depths.joined.get(&ip), depth) {
                (Some(joined), Some(fallen)) if *joined != fallen => {
                    let Some(call) = after_call else { return ControlFlow::Break(Stop::Refused) };
                    depths.not_returned_to.insert(call);
                    return ControlFlow::Break(Stop::Again);
                }
                (Some(joined), _) => depth = Some(*joined),
                // Reached through a table of jumps, or from a part of the function that is elsewhere.
                (None, None) => depth = depths.body.flatten(),
                (None, Some(_)) => {}
            }
            if ip == address {
                found = depth;
            }
            after_call = None;
            let inside = |to: u64| (self.start.0..end).contains(&to);
            match Branch::of(&instruction) {
                Some(Branch::Call(_) | Branch::CallPointer) => {
                    after_call = Some(instruction.next_ip());
                    if depths.not_returned_to.contains(&instruction.next_ip()) {
                        depth = None;
                    }
                }
                Some(Branch::Return | Branch::Trap) => depth = None,
                Some(Branch::Always(to)) if inside(to) => {
                    if let Some(at) = depth.take() {
                        depths.join(to, at)?;
                    }
                }
                Some(Branch::Always(_) | Branch::Pointer) => {
                    if let Some(at) = depth.take() {
                        depths.leave(at)?;
                    }
                }
                Some(Branch::Sometimes(to)) if inside(to) => match depth {
                    // The loop that touches each page of a large frame (`-fstack-clash-protection`): it ends
                    // when rsp has come to the register it is compared with.
                    Some(_) if to < ip && probed.is_some() && instruction.mnemonic() == Mnemonic::Jne => {
                        depth = probed.take();
                    }
                    Some(at) => depths.join(to, at)?,
                    None => {}
                },
                Some(Branch::Sometimes(_)) => {}
                None if instruction.mnemonic() == Mnemonic::Lea && instruction.op0_register() == Register::R11 => {
                    effect.begin_anew();
                    probed = match address_of_operand(&effect, &instruction) {
                        Value::Sum(Sum { register: SP, offset }) => depth.map(|at| at.saturating_sub(offset)),
                        _ => None,
                    };
                }
                None => {
                    effect.begin_anew();
                    apply(&mut effect, &instruction);
                    depth = moved(&effect, depth)?;
                }
            }
        }
        ControlFlow::Continue(found)
    }
}

impl Depths {
    fn join(&mut self, target: u64, depth: i64) -> ControlFlow<Stop> {
        match self.joined.insert(target, depth) {
            Some(before) if before != depth => ControlFlow::Break(Stop::Refused),
            _ => ControlFlow::Continue(()),
        }
    }

    /// A jump to another part of the function, or through a table. At 8 bytes the frame is gone: a tail call.
    fn leave(&mut self, depth: i64) -> ControlFlow<Stop> {
        match self.body {
            _ if depth == 8 => {}
            None => self.body = Some(Some(depth)),
            Some(Some(body)) if body != depth => {
                self.body = Some(None);
                return ControlFlow::Break(Stop::Again);
            }
            Some(_) => {}
        }
        ControlFlow::Continue(())
    }
}

/// The depth behind an instruction with this effect. Where rsp is taken from rbp, that holds the frame record's address.
fn moved(effect: &State, depth: Option<i64>) -> ControlFlow<Stop, Option<i64>> {
    match effect.get(SP) {
        Value::Sum(Sum { register: SP, offset }) => ControlFlow::Continue(depth.map(|at| at.saturating_sub(offset))),
        Value::Sum(Sum { register: FP, offset }) => ControlFlow::Continue(Some(RECORD_DEPTH.saturating_sub(offset))),
        _ => ControlFlow::Break(Stop::Refused),
    }
}

#[cfg(test)]
mod tests;
