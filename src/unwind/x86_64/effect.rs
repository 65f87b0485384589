//! What an instruction of x86-64 leaves in the registers that decide where a function's return address is.
//!
//! Does: follow rsp and the registers that calls preserve (psABI, figure 3.4) through moves, additions, pushes and
//! the words of the stack that they are saved in.
//! Does not: know branches (`instruction`), or choose a way through the code (`return_path` and `call_site` do).

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::registers::{FP, SP};
use crate::unwind::symbolic::{State, Value};

/// rbx.
const BX: u16 = 3;
/// DWARF numbers of the registers that are followed.
pub const FOLLOWED: &[u16] = &[BX, FP, SP, 12, 13, 14, 15];

/// Goes on behind an instruction that does not branch, or a call.
pub fn apply(state: &mut State, instruction: &Instruction) {
    let to = instruction.op0_register();
    let has_register = instruction.op0_kind() == OpKind::Register;
    match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pushfq => {
            let value = if has_register { read(state, to) } else { Value::Unknown };
            add_to_sp(state, -8);
            state.write_at(state.get(SP), value);
        }
        Mnemonic::Pop | Mnemonic::Popfq => {
            let value = state.load(state.get(SP));
            add_to_sp(state, 8);
            if has_register {
                assign(state, to, value);
            }
        }
        // mov %rbp,%rsp; pop %rbp
        Mnemonic::Leave => {
            let record = state.get(FP);
            let saved = state.load(record);
            state.set(FP, saved);
            state.set(SP, record.plus(8));
        }
        Mnemonic::Mov => match (instruction.op0_kind(), instruction.op1_kind()) {
            (OpKind::Register, OpKind::Register) => assign(state, to, read(state, instruction.op1_register())),
            (OpKind::Register, OpKind::Memory) => assign(state, to, state.load(address_of_operand(state, instruction))),
            (OpKind::Memory, OpKind::Register) => {
                state.write_at(address_of_operand(state, instruction), read(state, instruction.op1_register()));
            }
            _ => assign(state, to, Value::Unknown),
        },
        Mnemonic::Lea => assign(state, to, address_of_operand(state, instruction)),
        Mnemonic::Add | Mnemonic::Sub if has_register => {
            let sum = match (immediate(instruction), instruction.mnemonic()) {
                (Some(bytes), Mnemonic::Add) => read(state, to).plus(bytes),
                (Some(bytes), _) => read(state, to).plus(bytes.saturating_neg()),
                (None, _) => Value::Unknown,
            };
            assign(state, to, sum);
        }
        // What they name is read only. A call gives these registers back.
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Bt | Mnemonic::Call => {}
        Mnemonic::Enter => {
            state.set(SP, Value::Unknown);
            state.set(FP, Value::Unknown);
        }
        Mnemonic::Cpuid => state.set(BX, Value::Unknown),
        _ => {
            assign(state, to, Value::Unknown);
            // The second operand is written, too, by xchg, xadd and mulx; nothing is lost where it is not one.
            if matches!(instruction.mnemonic(), Mnemonic::Xchg | Mnemonic::Xadd | Mnemonic::Mulx) {
                assign(state, instruction.op1_register(), Value::Unknown);
            }
        }
    }
}

fn read(state: &State, register: Register) -> Value {
    match followed(register) {
        Some((number, true)) => state.get(number),
        _ => Value::Unknown,
    }
}

/// A register is written, or a part of it.
fn assign(state: &mut State, register: Register, value: Value) {
    if let Some((number, is_whole)) = followed(register) {
        state.set(number, if is_whole { value } else { Value::Unknown });
    }
}

fn add_to_sp(state: &mut State, bytes: i64) {
    state.set(SP, state.get(SP).plus(bytes));
}

/// The address of a memory operand that is a register and a number.
pub fn address_of_operand(state: &State, instruction: &Instruction) -> Value {
    match instruction.memory_index() {
        // The displacement of a 64-bit address is sign-extended (Intel SDM, volume 1, 3.7.5.1).
        Register::None => read(state, instruction.memory_base()).plus(instruction.memory_displacement64() as i64),
        _ => Value::Unknown,
    }
}

fn immediate(instruction: &Instruction) -> Option<i64> {
    match instruction.op1_kind() {
        OpKind::Immediate8to64 | OpKind::Immediate32to64 => Some(instruction.immediate(1) as i64),
        _ => None,
    }
}

/// The DWARF number of a register that is followed, and whether all of it is named.
fn followed(register: Register) -> Option<(u16, bool)> {
    use Register as R;
    let number = match register {
        R::RBX | R::EBX | R::BX | R::BL | R::BH => BX,
        R::RBP | R::EBP | R::BP | R::BPL => FP,
        R::RSP | R::ESP | R::SP | R::SPL => SP,
        R::R12 | R::R12D | R::R12W | R::R12L => 12,
        R::R13 | R::R13D | R::R13W | R::R13L => 13,
        R::R14 | R::R14D | R::R14W | R::R14L => 14,
        R::R15 | R::R15D | R::R15W | R::R15L => 15,
        _ => return None,
    };
    let is_whole = matches!(register, R::RBX | R::RBP | R::RSP | R::R12 | R::R13 | R::R14 | R::R15);
    Some((number, is_whole))
}

#[cfg(test)]
mod tests;
