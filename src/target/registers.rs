//! A thread's registers at the moment of its capture, in DWARF numbering, for any architecture.
//!
//! Does: store values and which of them are known (a thread that was not stopped shows only its PC and SP).
//! Does not: know an architecture's register sets; that is one file per architecture below this one.

pub mod aarch64;
pub mod x86_64;

use crate::types::Addr;

/// The highest number of DWARF registers of a supported architecture: 33 of AArch64 (x0–x30, sp, pc).
pub const MAX_REGISTERS: usize = 33;

/// Register values by DWARF number. A value that is not known is absent, never zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers {
    values: [u64; MAX_REGISTERS],
    known: u64,
    /// The base of thread-local storage (`fs_base`, `tpidr_el0`).
    pub thread_pointer: Option<Addr>,
    /// The bits of a return address that are its signature, by the kernel's word for the process; 0: none is signed.
    pub signature_mask: u64,
}

impl Default for Registers {
    fn default() -> Self {
        Registers { values: [0; MAX_REGISTERS], known: 0, thread_pointer: None, signature_mask: 0 }
    }
}

impl Registers {
    /// No register known.
    pub fn new() -> Self {
        Registers::default()
    }

    /// The value of a DWARF register, if it is known.
    #[inline]
    pub fn get(&self, dwarf: usize) -> Option<u64> {
        (dwarf < MAX_REGISTERS && self.known & (1 << dwarf) != 0).then(|| self.values[dwarf])
    }

    /// Sets a DWARF register. Numbers beyond [`MAX_REGISTERS`] are ignored.
    #[inline]
    pub fn set(&mut self, dwarf: usize, value: u64) {
        if dwarf < MAX_REGISTERS {
            self.values[dwarf] = value;
            self.known |= 1 << dwarf;
        }
    }

    /// Forgets a DWARF register.
    #[inline]
    pub fn forget(&mut self, dwarf: usize) {
        if dwarf < MAX_REGISTERS {
            self.known &= !(1 << dwarf);
        }
    }
}
