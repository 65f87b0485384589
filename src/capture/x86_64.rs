//! x86-64: the kernel's register set in DWARF numbering.
//!
//! Does: decode `struct user_regs_struct` (sys/user.h) and name the numbers of the System V psABI, figure 3.36.
//! Does not: obtain registers, or unwind.

use super::registers::Registers;
use crate::types::Addr;

/// What saved snapshots call this architecture.
pub const NAME: &str = "x86-64";
/// The stack pointer, `rsp`.
pub const SP: usize = 7;
/// The frame pointer, `rbp`.
pub const FP: usize = 6;
/// The program counter; DWARF calls the column "return address".
pub const PC: usize = 16;
/// The bytes below the stack pointer that a leaf function may use (psABI 3.2.2).
pub const RED_ZONE: u64 = 128;

/// Where a frame's return address is, given its CFA (psABI 3.2.2: the call has pushed it last).
pub fn return_address_slot(cfa: Addr) -> Option<Addr> {
    cfa.0.checked_sub(8).map(Addr)
}

/// The size of `struct user_regs_struct`.
pub const REGISTER_SET_SIZE: usize = 27 * 8;

/// The DWARF number of each word of `struct user_regs_struct`, by the word's index.
const DWARF_NUMBERS: [(usize, usize); 17] = [
    (0, 15),
    (1, 14),
    (2, 13),
    (3, 12),
    (4, FP),
    (5, 3),
    (6, 11),
    (7, 10),
    (8, 9),
    (9, 8),
    (10, 0),
    (11, 2),
    (12, 1),
    (13, 4),
    (14, 5),
    (16, PC),
    (19, SP),
];
const FS_BASE: usize = 21;

/// Decodes the register set; `None` when it is shorter than the structure.
pub fn decode(set: &[u8]) -> Option<Registers> {
    let word = |index: usize| Some(u64::from_le_bytes(set.get(index * 8..index * 8 + 8)?.try_into().ok()?));
    let mut registers = Registers::new();
    for (index, number) in DWARF_NUMBERS {
        registers.set(number, word(index)?);
    }
    registers.thread_pointer = Some(Addr(word(FS_BASE)?));
    Some(registers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_lands_in_its_dwarf_register() {
        // Each word holds its own index; the expected order is that of sys/user.h.
        let set: Vec<u8> = (0..27u64).flat_map(u64::to_le_bytes).collect();
        let registers = decode(&set).unwrap();
        let by_number: Vec<_> = (0..17).map(|n| registers.get(n).unwrap()).collect();
        assert_eq!(by_number, [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16]);
        assert_eq!(registers.thread_pointer, Some(Addr(21)));
        assert_eq!(decode(&set[..8 * 21]), None);
    }
}
