//! Writes small `.eh_frame` and `.eh_frame_hdr` sections, for tests and benchmarks.
//!
//! Does: lay functions out as a linker does. Does not: check that a program makes sense; some tests want nonsense.
#![allow(dead_code, reason = "each of the crates that include this file uses a part of it")]

/// A function: where it is and its call frame instructions.
#[derive(Debug, Clone)]
pub struct Function {
    pub start: u64,
    pub len: u32,
    pub program: Vec<u8>,
    pub is_signal_frame: bool,
}

/// The two sections, each at its own address.
pub struct Tables {
    pub eh_frame_svma: u64,
    pub eh_frame: Vec<u8>,
    pub eh_frame_hdr_svma: u64,
    pub eh_frame_hdr: Vec<u8>,
}

/// Call frame instructions (DWARF 5, 6.4.2), for functions as compilers write them.
pub mod program {
    /// DW_CFA_advance_loc.
    pub fn advance(bytes: u8) -> Vec<u8> {
        vec![0x40 | bytes]
    }
    /// DW_CFA_def_cfa_offset.
    pub fn cfa_offset(offset: u8) -> Vec<u8> {
        vec![0x0e, offset & 0x7f | 0x80, offset >> 7]
    }
    /// DW_CFA_def_cfa_register.
    pub fn cfa_register(register: u8) -> Vec<u8> {
        vec![0x0d, register]
    }
    /// DW_CFA_offset: the register is saved at CFA - 8 * slots.
    pub fn saved(register: u8, slots: u8) -> Vec<u8> {
        vec![0x80 | register, slots]
    }
    /// DW_CFA_undefined of the return address: the outermost function.
    pub fn thread_entry() -> Vec<u8> {
        vec![0x07, 16]
    }
    /// DW_CFA_def_cfa_expression.
    pub fn cfa_expression(operations: &[u8]) -> Vec<u8> {
        [&[0x0f, operations.len() as u8], operations].concat()
    }
    /// DW_CFA_expression.
    pub fn expression(register: u8, operations: &[u8]) -> Vec<u8> {
        [&[0x10, register, operations.len() as u8], operations].concat()
    }
    /// `push %rbp; mov %rsp,%rbp`, and the function's body after those four bytes.
    pub fn frame_pointer() -> Vec<u8> {
        [advance(1), cfa_offset(16), saved(6, 2), advance(3), cfa_register(6)].concat()
    }
    /// Three early returns, nine bytes each, and back in the body: with a prologue, as many instructions as the
    /// functions of CPython have on average (17 in a 3.15, 24 in a 3.11).
    pub fn early_returns() -> Vec<u8> {
        [vec![0x0a], advance(8), vec![0x0c, 7, 8], advance(1), vec![0x0b]].concat().repeat(3)
    }
    /// `sub $(size - 8),%rsp`, four bytes long: CFA = rsp + size in the body.
    pub fn no_frame_pointer(size: u8) -> Vec<u8> {
        [advance(4), cfa_offset(size)].concat()
    }
}

/// Lays the tables of x86-64 functions out at `svma`; the header comes after them.
pub fn tables(functions: &[Function], svma: u64) -> Tables {
    lay_out(functions, svma, cie)
}

/// As [`tables`], of AArch64 functions: their instructions are counted, not their bytes.
pub fn aarch64_tables(functions: &[Function], svma: u64) -> Tables {
    lay_out(functions, svma, aarch64_cie)
}

fn lay_out(functions: &[Function], svma: u64, cie: fn(bool) -> Vec<u8>) -> Tables {
    let mut bytes = Vec::new();
    let cies = [false, true].map(|is_signal_frame| {
        let offset = bytes.len();
        push_entry(&mut bytes, &cie(is_signal_frame));
        offset
    });
    let mut rows = Vec::new();
    for function in functions {
        let offset = bytes.len();
        let cie = cies[usize::from(function.is_signal_frame)];
        let mut body = ((offset + 4 - cie) as u32).to_le_bytes().to_vec();
        let here = svma + offset as u64 + 8;
        body.extend((function.start.wrapping_sub(here) as u32).to_le_bytes());
        body.extend(function.len.to_le_bytes());
        body.push(0);
        body.extend(&function.program);
        push_entry(&mut bytes, &body);
        rows.push((function.start, svma + offset as u64));
    }
    bytes.extend([0; 4]);
    rows.sort_unstable();
    let eh_frame_hdr_svma = svma + bytes.len() as u64;
    let mut header = vec![1, 0x1b, 0x03, 0x3b];
    header.extend((svma.wrapping_sub(eh_frame_hdr_svma + 4) as u32).to_le_bytes());
    header.extend((rows.len() as u32).to_le_bytes());
    for (start, entry) in rows {
        header.extend((start.wrapping_sub(eh_frame_hdr_svma) as u32).to_le_bytes());
        header.extend((entry.wrapping_sub(eh_frame_hdr_svma) as u32).to_le_bytes());
    }
    Tables { eh_frame_svma: svma, eh_frame: bytes, eh_frame_hdr_svma, eh_frame_hdr: header }
}

/// The common entry of x86-64: version 1, pc-relative 32-bit addresses, CFA = rsp + 8, return address at CFA - 8.
fn cie(is_signal_frame: bool) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 1];
    body.extend(if is_signal_frame { &b"zRS\0"[..] } else { &b"zR\0"[..] });
    body.extend([1, 0x78, 16, 1, 0x1b]);
    body.extend([0x0c, 7, 8, 0x90, 1]);
    body
}

/// The common entry of AArch64: as above, but CFA = sp, and the return address is in x30.
fn aarch64_cie(is_signal_frame: bool) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 1];
    body.extend(if is_signal_frame { &b"zRS\0"[..] } else { &b"zR\0"[..] });
    body.extend([4, 0x78, 30, 1, 0x1b]);
    body.extend([0x0c, 31, 0]);
    body
}

fn push_entry(bytes: &mut Vec<u8>, body: &[u8]) {
    let padded = body.len().next_multiple_of(4);
    bytes.extend((padded as u32).to_le_bytes());
    bytes.extend(body);
    // DW_CFA_nop.
    bytes.resize(bytes.len() + padded - body.len(), 0);
}
