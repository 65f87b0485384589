//! The registers that call frame information can name, some of them unknown.
//!
//! Does: hold them while a row is evaluated, by DWARF number. Does not: know what any of them is for.

use crate::target::registers::{MAX_REGISTERS, Registers};

/// A value for each DWARF register, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterSet {
    values: [Option<u64>; MAX_REGISTERS],
}

impl Default for RegisterSet {
    fn default() -> Self {
        RegisterSet { values: [None; MAX_REGISTERS] }
    }
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
