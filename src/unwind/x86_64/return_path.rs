//! The instructions of x86-64, as far as they lead out of a function.
//!
//! Does: decode and follow them; where a function begins and where it returns, rsp is at the return address. Tell calls, the starts of
//! functions that code names, and the code that begins a thread.
//! Does not: choose the ways.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::effect::{FOLLOWED, apply};
use super::instruction::Branch;
use super::registers::{FP, SP};
use crate::unwind::architecture::CallTarget;
use crate::unwind::return_path::{Flow, Instructions, ReturnPath};
use crate::unwind::symbolic::{State, Sum, Value};

/// The instructions of a call have two to seven bytes, with a prefix eight (Intel SDM, volume 2, "CALL").
const CALL_LENGTHS: std::ops::RangeInclusive<usize> = 2..=8;
/// Bytes in front of the call of a thread's function in which the code that begins the thread prepares it.
const MAX_PREPARATION: usize = 48;
/// Instructions behind that call, with which it ends the thread: musl's are 5, glibc's 4.
const MAX_ENDING: usize = 6;
/// The number of the system call `exit`.
const SYS_EXIT: u64 = 60;

/// What is known at the beginning.
pub fn beginning() -> State {
    State::beginning(FOLLOWED, SP)
}

/// Code that begins at an address.
pub struct Code<'a> {
    decoder: Decoder<'a>,
    base: u64,
}

impl<'a> Code<'a> {
    /// These bytes, at `base`.
    pub fn new(code: &'a [u8], base: u64) -> Code<'a> {
        Code { decoder: Decoder::with_ip(64, code, base, DecoderOptions::NONE), base }
    }

    fn decode(&mut self, address: u64) -> Option<Instruction> {
        if self.decoder.ip() != address {
            let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
            self.decoder.set_position(offset).ok()?;
            self.decoder.set_ip(address);
        }
        self.decoder.can_decode().then(|| self.decoder.decode())
    }
}

impl Instructions for Code<'_> {
    fn follow(&mut self, address: u64, state: &mut State) -> Option<(Flow, u64)> {
        let instruction = self.decode(address)?;
        let flow = match Branch::of(&instruction) {
            None => {
                apply(state, &instruction);
                Flow::On
            }
            Some(Branch::Always(target)) => Flow::To(target),
            Some(Branch::Sometimes(target)) => Flow::Either(target),
            // A call gives the registers back.
            Some(Branch::Call(callee)) => Flow::Call(Some(callee)),
            Some(Branch::CallPointer) => Flow::Call(None),
            Some(Branch::Return) => Flow::Return,
            Some(Branch::Pointer) => Flow::Pointer,
            Some(Branch::Trap) => Flow::Nowhere,
        };
        Some((flow, instruction.next_ip()))
    }

    fn left_by(&self, state: &State) -> Option<ReturnPath> {
        let Value::Sum(slot) = state.get(SP) else { return None };
        // What the function has pushed itself is not its return address.
        let is_callers = slot.register != SP || slot.offset >= 0;
        is_callers.then(|| ReturnPath {
            cfa: slot.plus(8),
            return_address: Value::WordAt(slot),
            caller_fp: state.get(FP),
        })
    }

    fn left_since(&self, state: &State, _: bool) -> Option<ReturnPath> {
        let Sum { register, offset } = state.on_stack()?;
        let now = |at_beginning: i64| Sum { register, offset: at_beginning.saturating_sub(offset) };
        let entered = Value::Sum(Sum { register: FP, offset: 0 });
        let caller_fp = match state.saved(entered) {
            _ if state.get(FP) == entered => entered,
            Some(slot) => Value::WordAt(now(slot)),
            None => Value::Unknown,
        };
        // The first word that is not the caller's would be pushed below the return address.
        let is_inside = register != SP || offset <= 0;
        is_inside.then(|| ReturnPath { cfa: now(8), return_address: Value::WordAt(now(0)), caller_fp })
    }
}

/// The call that `code`, which ends at `end`, ends with: what is in front of it is not known to begin with an instruction.
pub fn call_before(code: &[u8], end: u64) -> Option<CallTarget> {
    CALL_LENGTHS.rev().find_map(|len| {
        let bytes = code.get(code.len().checked_sub(len)?..)?;
        let mut decoder = Decoder::with_ip(64, bytes, end.wrapping_sub(len as u64), DecoderOptions::NONE);
        let instruction = decoder.decode();
        // A prefix without a meaning could be the end of the instruction before.
        let is_it =
            instruction.len() == len && (len == 2 || bytes[0] == 0xe8 || bytes[0] & 0xf0 == 0x40 || bytes[0] == 0xff);
        match Branch::of(&instruction).filter(|_| is_it)? {
            Branch::Call(callee) => Some(CallTarget::To(callee)),
            Branch::CallPointer => Some(CallTarget::Pointer),
            _ => None,
        }
    })
}

/// The addresses that calls in the code, and its instructions that make an address, name: starts of functions, and others.
pub fn named(code: &[u8], base: u64) -> Vec<u64> {
    let instructions = Decoder::with_ip(64, code, base, DecoderOptions::NONE).into_iter();
    let named = |instruction: Instruction| match Branch::of(&instruction) {
        Some(Branch::Call(callee)) => Some(callee),
        _ if instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand() => {
            Some(instruction.ip_rel_memory_address())
        }
        _ => None,
    };
    instructions.filter_map(named).collect()
}

/// Whether the call in front of `pc` is that of a thread's function, by the code that begins the thread: it zeroes rbp, as the psABI
/// asks of the outermost frame (3.4.1), and behind the call it has nowhere to return to. Either it has aligned rsp and kept it nowhere
/// (`_start`), or it calls by a pointer and makes the system call that ends the thread (`clone`).
pub fn begins_thread(code: &[u8], base: u64, pc: u64) -> bool {
    let Some(end) = pc.checked_sub(base).and_then(|offset| usize::try_from(offset).ok()) else { return false };
    let zeroes = |at: &usize| matches!(code.get(*at..).and_then(|rest| rest.first_chunk()), Some([0x31 | 0x33, 0xed]));
    (end.saturating_sub(MAX_PREPARATION)..end)
        .filter(zeroes)
        .any(|start| begins_thread_at(code, base, base.wrapping_add(start as u64), pc))
}

fn begins_thread_at(code: &[u8], base: u64, start: u64, pc: u64) -> bool {
    let mut code = Code::new(code, base);
    let (mut address, mut aligns, mut state) = (start, false, beginning());
    let by_pointer = loop {
        let Some(instruction) = code.decode(address) else { return false };
        address = instruction.next_ip();
        match Branch::of(&instruction) {
            Some(Branch::Call(_)) if address == pc => break false,
            Some(Branch::CallPointer) if address == pc => break true,
            None if address < pc => {}
            _ => return false,
        }
        apply(&mut state, &instruction);
        aligns |= instruction.mnemonic() == Mnemonic::And && instruction.op0_register() == Register::RSP;
    };
    // What is to be found again behind the call is in a register that calls preserve.
    let keeps =
        |register: &u16| *register != SP && matches!(state.get(*register), Value::Sum(Sum { register: SP, .. }));
    if FOLLOWED.iter().any(keeps) {
        return false;
    }
    aligns || by_pointer && ends_thread(&mut code, pc)
}

/// Whether the instructions from `address` on make the system call `exit`, without a branch.
fn ends_thread(code: &mut Code<'_>, mut address: u64) -> bool {
    let mut number = None;
    for _ in 0..MAX_ENDING {
        let Some(instruction) = code.decode(address) else { return false };
        address = instruction.next_ip();
        if instruction.mnemonic() == Mnemonic::Syscall {
            return number == Some(SYS_EXIT);
        }
        if Branch::of(&instruction).is_some() {
            return false;
        }
        let sets = matches!(instruction.op0_register(), Register::EAX | Register::RAX | Register::AL);
        match (instruction.mnemonic(), instruction.op1_kind()) {
            (Mnemonic::Mov, OpKind::Immediate8 | OpKind::Immediate32 | OpKind::Immediate32to64) if sets => {
                number = Some(instruction.immediate(1));
            }
            (Mnemonic::Xor, _) if sets => number = Some(0),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests;
