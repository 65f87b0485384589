//! Register numbers.
//!
//! Does: name the DWARF numbers ("DWARF for the Arm 64-bit Architecture", 4.1). Does not: hold values.

/// x29, the frame pointer.
pub const FP: u16 = 29;
/// x30, the link register: also the column of the tables that stands for the return address.
pub const LR: u16 = 30;
/// sp.
pub const SP: u16 = 31;
/// pc. No row says anything about it.
pub const PC: u16 = 32;
