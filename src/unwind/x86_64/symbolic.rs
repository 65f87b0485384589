//! What registers hold after some instructions, in terms of what they held before: the part of an instruction's effect
//! that decides where a function's return address is.
//!
//! Does: follow rsp and the registers that calls preserve (psABI, figure 3.4) through moves, additions, pushes and
//! the words of the stack that they are saved in.
//! Does not: choose a way through the code (`way_out` does), or know a single value: the same for every thread.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::registers::{BP, SP};

/// rbx.
const BX: u16 = 3;
/// DWARF numbers of the registers that are followed.
const FOLLOWED: [u16; 7] = [BX, BP, SP, 12, 13, 14, 15];
/// Words that are known to have been written. A function saves seven registers, and some twice.
const MAX_WRITTEN: usize = 32;

/// What a register held at the beginning, and so many bytes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The register's DWARF number.
    pub register: u16,
    /// Bytes to add.
    pub offset: i64,
}

impl Sum {
    fn plus(self, bytes: i64) -> Sum {
        // A number that wraps around is no address of a stack: whoever adds it up is told so there.
        Sum { offset: self.offset.saturating_add(bytes), ..self }
    }
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// This number.
    Sum(Sum),
    /// The word that was at this address at the beginning.
    WordAt(Sum),
    /// Something else.
    Unknown,
}

impl Value {
    fn plus(self, bytes: i64) -> Value {
        match self {
            Value::Sum(sum) => Value::Sum(sum.plus(bytes)),
            Value::WordAt(_) | Value::Unknown => Value::Unknown,
        }
    }

    /// What is left when a value can be this or `other`. Gives whether it has changed.
    pub fn join(&mut self, other: Value) -> bool {
        let differs = *self != other && *self != Value::Unknown;
        if differs {
            *self = Value::Unknown;
        }
        differs
    }
}

/// The registers, and the words of the stack that were written.
#[derive(Debug, Clone)]
pub struct State {
    values: [Value; FOLLOWED.len()],
    written: Vec<(Sum, Value)>,
    /// More was written than is remembered: no word is known to be as it was.
    forgot: bool,
}

impl State {
    /// The beginning: each register holds what it holds.
    pub fn beginning() -> State {
        State {
            values: FOLLOWED.map(|register| Value::Sum(Sum { register, offset: 0 })),
            written: Vec::new(),
            forgot: false,
        }
    }

    /// What a register holds, by its DWARF number.
    pub fn get(&self, register: u16) -> Value {
        let index = FOLLOWED.iter().position(|followed| *followed == register);
        index.and_then(|index| self.values.get(index)).copied().unwrap_or(Value::Unknown)
    }

    /// rsp, where it is known.
    pub fn sp(&self) -> Option<Sum> {
        match self.get(SP) {
            Value::Sum(sum) => Some(sum),
            _ => None,
        }
    }

    /// Keeps what holds on this way and on another one. Gives whether that is less than before.
    pub fn join(&mut self, other: &State) -> bool {
        let mut changed = false;
        for (value, other) in self.values.iter_mut().zip(other.values) {
            changed |= value.join(other);
        }
        for (at, value) in &mut self.written {
            changed |= value.join(other.word(*at));
        }
        for (at, value) in &other.written {
            let mut here = self.word(*at);
            if here.join(*value) {
                self.write(*at, here);
                changed = true;
            }
        }
        if other.forgot && !self.forgot {
            self.forgot = true;
            changed = true;
        }
        changed
    }

    /// Goes on behind an instruction that does not branch, or a call.
    pub fn apply(&mut self, instruction: &Instruction) {
        let to = instruction.op0_register();
        let has_register = instruction.op0_kind() == OpKind::Register;
        match instruction.mnemonic() {
            Mnemonic::Push | Mnemonic::Pushfq => {
                let value = if has_register { self.read(to) } else { Value::Unknown };
                self.add_to_sp(-8);
                self.write_at(self.get(SP), value);
            }
            Mnemonic::Pop | Mnemonic::Popfq => {
                let value = self.load(self.get(SP));
                self.add_to_sp(8);
                if has_register {
                    self.assign(to, value);
                }
            }
            // mov %rbp,%rsp; pop %rbp
            Mnemonic::Leave => {
                let record = self.get(BP);
                let saved = self.load(record);
                self.set(BP, saved);
                self.set(SP, record.plus(8));
            }
            Mnemonic::Mov => match (instruction.op0_kind(), instruction.op1_kind()) {
                (OpKind::Register, OpKind::Register) => self.assign(to, self.read(instruction.op1_register())),
                (OpKind::Register, OpKind::Memory) => self.assign(to, self.load(self.address(instruction))),
                (OpKind::Memory, OpKind::Register) => {
                    self.write_at(self.address(instruction), self.read(instruction.op1_register()));
                }
                _ => self.assign(to, Value::Unknown),
            },
            Mnemonic::Lea => self.assign(to, self.address(instruction)),
            Mnemonic::Add | Mnemonic::Sub if has_register => {
                let sum = match (immediate(instruction), instruction.mnemonic()) {
                    (Some(bytes), Mnemonic::Add) => self.read(to).plus(bytes),
                    (Some(bytes), _) => self.read(to).plus(bytes.saturating_neg()),
                    (None, _) => Value::Unknown,
                };
                self.assign(to, sum);
            }
            // What they name is read only. A call gives these registers back.
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Bt | Mnemonic::Call => {}
            Mnemonic::Enter => {
                self.set(SP, Value::Unknown);
                self.set(BP, Value::Unknown);
            }
            Mnemonic::Cpuid => self.set(BX, Value::Unknown),
            _ => {
                self.assign(to, Value::Unknown);
                // The second operand is written, too, by xchg, xadd and mulx; nothing is lost where it is not one.
                if matches!(instruction.mnemonic(), Mnemonic::Xchg | Mnemonic::Xadd | Mnemonic::Mulx) {
                    self.assign(instruction.op1_register(), Value::Unknown);
                }
            }
        }
    }

    fn read(&self, register: Register) -> Value {
        match followed(register) {
            Some((number, true)) => self.get(number),
            _ => Value::Unknown,
        }
    }

    /// A register is written, or a part of it.
    fn assign(&mut self, register: Register, value: Value) {
        if let Some((number, is_whole)) = followed(register) {
            self.set(number, if is_whole { value } else { Value::Unknown });
        }
    }

    fn set(&mut self, register: u16, value: Value) {
        for (_, slot) in FOLLOWED.iter().zip(&mut self.values).filter(|(followed, _)| **followed == register) {
            *slot = value;
        }
    }

    fn add_to_sp(&mut self, bytes: i64) {
        self.set(SP, self.get(SP).plus(bytes));
    }

    /// The address of a memory operand that is a register and a number.
    fn address(&self, instruction: &Instruction) -> Value {
        match instruction.memory_index() {
            // The displacement of a 64-bit address is sign-extended (Intel SDM, volume 1, 3.7.5.1).
            Register::None => self.read(instruction.memory_base()).plus(instruction.memory_displacement64() as i64),
            _ => Value::Unknown,
        }
    }

    fn load(&self, address: Value) -> Value {
        match address {
            Value::Sum(at) => self.word(at),
            Value::WordAt(_) | Value::Unknown => Value::Unknown,
        }
    }

    fn word(&self, at: Sum) -> Value {
        match self.written.iter().find(|(written, _)| *written == at) {
            Some((_, value)) => *value,
            None if self.forgot => Value::Unknown,
            None => Value::WordAt(at),
        }
    }

    /// A word is written. Where the address is not known, it is that of an array or of a local variable: registers are
    /// saved at addresses that the code tells, or it could not find them again.
    fn write_at(&mut self, address: Value, value: Value) {
        if let Value::Sum(at) = address {
            self.write(at, value);
        }
    }

    fn write(&mut self, at: Sum, value: Value) {
        if let Some((_, known)) = self.written.iter_mut().find(|(written, _)| *written == at) {
            *known = value;
        } else if self.forgot || self.written.len() >= MAX_WRITTEN {
            self.forgot = true;
        } else {
            self.written.push((at, value));
        }
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
        R::RBP | R::EBP | R::BP | R::BPL => BP,
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
