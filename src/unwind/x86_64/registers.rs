//! Register numbers.
//!
//! Does: name the DWARF numbers (System V psABI for x86-64, figure 3.36). Does not: hold values.

/// rbp, the frame pointer.
pub const FP: u16 = 6;
/// rsp.
pub const SP: u16 = 7;
/// The return address column; as a register in an expression, rip.
pub const PC: u16 = 16;
