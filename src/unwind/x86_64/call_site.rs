//! How large a frame is at one of its calls, and what the call calls: read from the function's own instructions.
//!
//! Does: follow rsp from the function's entry through its direct branches to the call, for the one case in which the
//! tables do not help: they state the CFA by rbp, and rbp is not known.
//! Does not: guess. rsp changed by a number that is not in the code (`alloca`, an aligned frame), or two ways to the
//! call that disagree, and there is no answer.

use std::ops::ControlFlow;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::types::Svma;

/// The longest function that is decoded, in bytes. CPython's evaluation loop has 82 KB.
pub const MAX_FUNCTION: u64 = 256 << 10;
/// Instructions from a function's entry in which a jump is looked for that hands over to another function.
const MAX_STUB: usize = 4_096;
/// Passes over a function: each one learns what backward branches bring. Calls that do not return cost one too.
const MAX_PASSES: usize = 24;

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
pub(super) enum Stop {
    /// The pass must be made again: something has been learned that makes its beginning wrong.
    Again,
    /// rsp is changed in a way that the code does not tell.
    Refused,
}

impl FunctionCode<'_> {
    /// The call that returns to `address`. `None` when no call ends there.
    pub fn call_before(&self, address: Svma) -> Option<CallSite> {
        let call = self.instructions().find(|i| i.next_ip() == address.0 && i.mnemonic() == Mnemonic::Call)?;
        let depth = self.depth_at(call.ip()).and_then(|depth| u64::try_from(depth).ok());
        Some(CallSite { depth, callee: direct_target(&call).map(Svma) })
    }

    /// Whether the function can leave for `other` by a jump: a tail call, or a stub that jumps where a table says.
    pub fn jumps_to(&self, other: Svma) -> bool {
        let mut jumps = self.instructions().take(MAX_STUB).filter(|i| i.mnemonic() == Mnemonic::Jmp);
        jumps.any(|jump| direct_target(&jump).is_none_or(|target| target == other.0))
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

    /// Goes through all instructions once. Gives the depth at `address`.
    fn pass(&self, depths: &mut Depths, address: u64) -> ControlFlow<Stop, Option<i64>> {
        let end = self.start.0.saturating_add(self.bytes.len() as u64);
        let (mut depth, mut found, mut after_call, mut probed) = (self.entry_depth, None, None, None);
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
            let target = direct_target(&instruction);
            match instruction.mnemonic() {
                Mnemonic::Call => {
                    after_call = Some(instruction.next_ip());
                    if depths.not_returned_to.contains(&instruction.next_ip()) {
                        depth = None;
                    }
                }
                Mnemonic::Ret | Mnemonic::Ud2 | Mnemonic::Hlt | Mnemonic::Int3 => depth = None,
                mnemonic => {
                    let inside = target.filter(|to| (self.start.0..end).contains(to));
                    match (inside, depth) {
                        // The loop that touches each page of a large frame (`-fstack-clash-protection`): it ends
                        // when rsp has come to the register it is compared with.
                        (Some(to), Some(_)) if to < ip && probed.is_some() && mnemonic == Mnemonic::Jne => {
                            depth = probed.take();
                        }
                        (Some(to), Some(at)) => depths.join(to, at)?,
                        (None, Some(at)) if mnemonic == Mnemonic::Jmp => depths.leave(at)?,
                        _ => {}
                    }
                    match mnemonic {
                        Mnemonic::Jmp => depth = None,
                        Mnemonic::Lea if instruction.op0_register() == Register::R11 => {
                            probed = depth.zip(displacement(&instruction, Register::RSP)).map(|(at, by)| at - by);
                        }
                        _ => depth = moved(&instruction, depth)?,
                    }
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

/// The depth after an instruction that does not branch.
pub(super) fn moved(instruction: &Instruction, depth: Option<i64>) -> ControlFlow<Stop, Option<i64>> {
    let sp = |register| matches!(register, Register::RSP | Register::ESP | Register::SP | Register::SPL);
    let immediate = || match instruction.op1_kind() {
        OpKind::Immediate8to64 | OpKind::Immediate32to64 => i32::try_from(instruction.immediate(1) as i64).ok(),
        _ => None,
    };
    let changed = match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pushfq => depth.map(|at| at.saturating_add(8)),
        // The destination is read from the stack before it is written: `pop %rsp` is no way to return.
        Mnemonic::Pop if sp(instruction.op0_register()) => return ControlFlow::Break(Stop::Refused),
        Mnemonic::Pop | Mnemonic::Popfq => depth.map(|at| at.saturating_sub(8)),
        // `mov %rbp,%rsp; pop %rbp`, with the frame record at CFA - 16.
        Mnemonic::Leave => depth.map(|_| 8),
        Mnemonic::Enter => return ControlFlow::Break(Stop::Refused),
        Mnemonic::Xchg if sp(instruction.op1_register()) => return ControlFlow::Break(Stop::Refused),
        Mnemonic::Cmp | Mnemonic::Test => depth,
        _ if instruction.op0_kind() != OpKind::Register || !sp(instruction.op0_register()) => depth,
        mnemonic if instruction.op0_register() == Register::RSP => {
            let by_number = immediate().map(i64::from);
            let by_address = displacement(instruction, Register::RSP);
            let from_record = displacement(instruction, Register::RBP);
            let to = match mnemonic {
                Mnemonic::Sub => by_number.zip(depth).map(|(n, at)| at.saturating_add(n)),
                Mnemonic::Add => by_number.zip(depth).map(|(n, at)| at.saturating_sub(n)),
                Mnemonic::Lea if by_address.is_some() => by_address.zip(depth).map(|(n, at)| at.saturating_sub(n)),
                Mnemonic::Lea => from_record.map(|n| 16_i64.saturating_sub(n)),
                Mnemonic::Mov if instruction.op1_register() == Register::RBP => Some(16),
                _ => None,
            };
            if to.is_none() && (depth.is_some() || by_number.is_none()) {
                return ControlFlow::Break(Stop::Refused);
            }
            to
        }
        _ => return ControlFlow::Break(Stop::Refused),
    };
    ControlFlow::Continue(changed)
}

/// The offset of an address that is `base` and a number.
fn displacement(instruction: &Instruction, base: Register) -> Option<i64> {
    let plain = instruction.op1_kind() == OpKind::Memory
        && instruction.memory_base() == base
        && instruction.memory_index() == Register::None;
    let displacement = instruction.memory_displacement64() as i64;
    plain.then_some(displacement).filter(|n| i32::try_from(*n).is_ok())
}

fn direct_target(instruction: &Instruction) -> Option<u64> {
    (instruction.op0_kind() == OpKind::NearBranch64).then(|| instruction.near_branch64())
}

#[cfg(test)]
mod tests;
