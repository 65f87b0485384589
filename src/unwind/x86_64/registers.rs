//! Register numbers and a full set of values.
//!
//! Does: name the DWARF numbers (System V psABI for x86-64, figure 3.36). Does not: capture anything.

use crate::capture::registers::Registers;

/// rbp.
pub const BP: u16 = 6;
/// rsp.
pub const SP: u16 = 7;
/// The return address column; as a register in an expression, rip.
pub const PC: u16 = 16;

/// General-purpose registers and rip.
const COUNT: usize = 17;

/// The values of all 17 registers that call frame information can name, some of them unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RegisterSet {
    values: [Option<u64>; COUNT],
}

impl RegisterSet {
    /// What was captured of a thread.
    pub fn from_captured(registers: &Registers) -> Self {
        RegisterSet { values: std::array::from_fn(|n| registers.get(n)) }
    }

    /// The value of a register, if it is known.
    pub fn get(&self, register: u16) -> Option<u64> {
        self.values.get(usize::from(register)).copied().flatten()
    }

    /// Sets or forgets a register. Numbers that are not tracked are ignored.
    pub fn set(&mut self, register: u16, value: Option<u64>) {
        if let Some(slot) = self.values.get_mut(usize::from(register)) {
            *slot = value;
        }
    }
}
