//! What an instruction of AArch64 leaves in the registers that decide where a function's return address is: sp, x29 and x30.
//!
//! Does: follow them through additions, moves and the words of the stack that they are saved in (Arm Architecture Reference
//! Manual for A-profile, C4.1). What writes one of them otherwise makes it unknown.
//! Does not: know branches (`instruction`), or take signatures off: whoever reads a return address does.

use super::registers::{FP, LR, SP};
use crate::unwind::symbolic::{State, Value};

/// DWARF numbers of the registers that are followed.
pub const FOLLOWED: &[u16] = &[FP, LR, SP];

/// Number 31 where it names no register but zero.
const ZERO: u16 = 31;

/// Goes on behind an instruction that is no branch.
pub fn apply(state: &mut State, word: u32) {
    match word >> 25 & 0xf {
        // Data processing with an immediate.
        0b1000 | 0b1001 => immediate(state, word),
        // Loads and stores.
        0b0100 | 0b0110 | 0b1100 | 0b1110 => memory(state, word),
        // Data processing with registers; system instructions.
        0b0101 | 0b1101 | 0b1010 | 0b1011 => registers(state, word),
        // SVE: addvl and addpl, which make room for its registers.
        0b0010 if word & 0xffa0_f800 == 0x0420_5000 => state.set(field(word, 0), Value::Unknown),
        // Vectors and floating point.
        _ => {}
    }
}

/// A register's number in the instruction.
fn field(word: u32, shift: u32) -> u16 {
    (word >> shift & 31) as u16
}

/// A signed number of `bits` bits in the instruction.
fn signed(word: u32, shift: u32, bits: u32) -> i64 {
    i64::from((word << (32 - bits - shift)).cast_signed() >> (32 - bits))
}

/// Writes a register that is zero where its number is 31.
fn set_general(state: &mut State, register: u16, value: Value) {
    if register != ZERO {
        state.set(register, value);
    }
}

fn get_general(state: &State, register: u16) -> Value {
    if register == ZERO { Value::Unknown } else { state.get(register) }
}

fn immediate(state: &mut State, word: u32) {
    let to = field(word, 0);
    match word >> 23 & 0x3f {
        // add, sub: of 64 bits they take sp and leave it; adds and subs leave zero.
        0b10_0010 => {
            let bytes = i64::from(word >> 10 & 0xfff) << if word & 1 << 22 == 0 { 0 } else { 12 };
            let bytes = if word & 1 << 30 == 0 { bytes } else { -bytes };
            let sets_flags = word & 1 << 29 != 0;
            let is_whole = word & 1 << 31 != 0;
            let value = if is_whole { state.get(field(word, 5)).plus(bytes) } else { Value::Unknown };
            if sets_flags { set_general(state, to, value) } else { state.set(to, value) }
        }
        // and, orr, eor leave sp, too: what is aligned anew so is not known any more. ands leaves zero.
        0b10_0100 if word >> 29 & 3 != 3 => state.set(to, Value::Unknown),
        _ => set_general(state, to, Value::Unknown),
    }
}

fn registers(state: &mut State, word: u32) {
    let to = field(word, 0);
    // mov: orr with zero.
    if word & 0xffe0_ffe0 == 0xaa00_03e0 {
        set_general(state, to, get_general(state, field(word, 16)));
    } else if word & 0xffff_0000 == 0xdac1_0000 {
        // pacia, autia and their like: the address stays what it is.
    } else if word & 0x1f20_0000 == 0x0b20_0000 && word & 1 << 29 == 0 {
        // add and sub with an extended register leave sp.
        state.set(to, Value::Unknown);
    } else {
        set_general(state, to, Value::Unknown);
    }
}

/// How the address of a load or store is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    /// Base and offset.
    Offset,
    /// The base; then it is moved.
    Post,
    /// The base is moved; then it is the address.
    Pre,
}

/// A load or store of one register or two.
struct Access {
    index: Index,
    bytes: i64,
    is_load: bool,
    /// Whether it is one of general registers.
    is_general: bool,
    /// Bytes of each register.
    size: i64,
    to: [u16; 2],
    registers: usize,
}

fn memory(state: &mut State, word: u32) {
    let is_vector = word & 1 << 26 != 0;
    let access = match word >> 24 & 0x3b {
        0x28 | 0x29 => Some(pair(word, is_vector)),
        0x38 if word & 1 << 21 == 0 => Some(single(word, is_vector)),
        0x39 => Some(single(word, is_vector)),
        _ => None,
    };
    if let Some(access) = access {
        apply_access(state, field(word, 5), &access);
        return;
    }
    if is_vector {
        // ld1 and st1 of several registers move their base.
        if word & 0xbe80_0000 == 0x0c80_0000 {
            state.set(field(word, 5), Value::Unknown);
        }
        return;
    }
    // str with an index in a register reads what it names.
    let is_store = word & 0x3be0_0c00 == 0x3820_0800;
    let exclusive = word & 0x3f00_0000 == 0x0800_0000;
    let written: &[u32] = match (is_store, exclusive) {
        (true, _) => &[],
        (_, true) => &[0, 10, 16],
        _ => &[0],
    };
    written.iter().for_each(|shift| set_general(state, field(word, *shift), Value::Unknown));
}

fn pair(word: u32, is_vector: bool) -> Access {
    let (kind, is_load) = (word >> 30, word & 1 << 22 != 0);
    let size = match (is_vector, kind) {
        (true, _) => 4 << kind,
        (false, 2) => 8,
        // stgp, which stores two whole registers and a tag, counts in 16 bytes.
        (false, 1) if !is_load => 16,
        (false, _) => 4,
    };
    let index = match word >> 23 & 3 {
        0b01 => Index::Post,
        0b11 => Index::Pre,
        _ => Index::Offset,
    };
    let bytes = signed(word, 15, 7) * size;
    let to = [field(word, 0), field(word, 10)];
    Access { index, bytes, is_load, is_general: !is_vector, size, to, registers: 2 }
}

fn single(word: u32, is_vector: bool) -> Access {
    let (size, kind) = (word >> 30, word >> 22 & 3);
    let scale = if is_vector && kind & 2 != 0 { 4 } else { size };
    let is_load = if is_vector { kind & 1 != 0 } else { kind != 0 };
    let (index, bytes) = match (word >> 24 & 1, word >> 10 & 3) {
        (1, _) => (Index::Offset, i64::from(word >> 10 & 0xfff) << scale),
        (_, 0b01) => (Index::Post, signed(word, 12, 9)),
        (_, 0b11) => (Index::Pre, signed(word, 12, 9)),
        _ => (Index::Offset, signed(word, 12, 9)),
    };
    // prfm names no register.
    let is_prefetch = !is_vector && size == 3 && kind == 2;
    let to = [if is_prefetch { ZERO } else { field(word, 0) }, ZERO];
    Access { index, bytes, is_load, is_general: !is_vector, size: 1 << scale, to, registers: 1 }
}

fn apply_access(state: &mut State, base: u16, access: &Access) {
    let moved = state.get(base).plus(access.bytes);
    let address = if access.index == Index::Post { state.get(base) } else { moved };
    let is_word = access.is_general && access.size == 8;
    for (place, register) in (0..).zip(access.to).take(access.registers) {
        let slot = address.plus(access.size * place);
        if !access.is_load {
            let value = if is_word { get_general(state, register) } else { Value::Unknown };
            // What is longer than a word overwrites the next one, too.
            state.write_at(slot, value);
            if access.size > 8 {
                state.write_at(slot.plus(8), Value::Unknown);
            }
        } else if access.is_general {
            let value = if is_word { state.load(slot) } else { Value::Unknown };
            set_general(state, register, value);
        }
    }
    if access.index != Index::Offset {
        state.set(base, moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::symbolic::Sum;

    fn sum(register: u16, offset: i64) -> Value {
        Value::Sum(Sum { register, offset })
    }

    fn word(register: u16, offset: i64) -> Value {
        Value::WordAt(Sum { register, offset })
    }

    fn behind(code: &[u32]) -> [Value; 3] {
        let mut state = State::beginning(FOLLOWED, SP);
        code.iter().for_each(|word| apply(&mut state, *word));
        [SP, FP, LR].map(|register| state.get(register))
    }

    #[test]
    fn a_record_is_pushed_and_popped() {
        // stp x29, x30, [sp, #-16]!; mov x29, sp
        let push = [0xa9bf_7bfd, 0x9100_03fd];
        assert_eq!(behind(&push), [sum(SP, -16), sum(SP, -16), sum(LR, 0)]);
        // ldp x29, x30, [sp], #16
        assert_eq!(behind(&[push[0], push[1], 0xa8c1_7bfd]), [sum(SP, 0), sum(FP, 0), sum(LR, 0)]);
        assert_eq!(behind(&[0xa8c1_7bfd]), [sum(SP, 16), word(SP, 0), word(SP, 8)]);
        // str x30, [sp, #-16]!; ldr x30, [sp], #16
        assert_eq!(behind(&[0xf81f_0ffe, 0xf841_07fe]), [sum(SP, 0), sum(FP, 0), sum(LR, 0)]);
        // ldp x29, x30, [sp, #64]; ldp d15, d14, [sp], #160
        assert_eq!(behind(&[0xa944_7bfd, 0x6cca_3bef]), [sum(SP, 160), word(SP, 64), word(SP, 72)]);
        // sub sp, sp, #0x1, lsl #12; mov sp, x29
        assert_eq!(behind(&[0xd140_07ff])[0], sum(SP, -4096));
        assert_eq!(behind(&[0x9100_03bf])[0], sum(FP, 0));
    }

    #[test]
    fn what_writes_a_register_otherwise_makes_it_unknown() {
        for (code, register) in [
            (0x9278_ec1f_u32, SP), // and sp, x0, #0xffffffffffffff00
            (0xcb21_63ff, SP),     // sub sp, sp, x1
            (0x043f_57ff, SP),     // addvl sp, sp, #-1
            (0x4cdf_7fe0, SP),     // ld1 {v0.2d}, [sp], #16
            (0xaa01_03fe, LR),     // mov x30, x1
            (0xf940_001e, LR),     // ldr x30, [x0]
            (0x1000_001d, FP),     // adr x29, .
            (0x8b01_001d, FP),     // add x29, x0, x1
            (0xb940_0ffe, LR),     // ldr w30, [sp, #12]
        ] {
            let at = [SP, FP, LR].iter().position(|one| *one == register).expect("one of them");
            assert_eq!(behind(&[code])[at], Value::Unknown, "{code:#x}");
        }
    }

    #[test]
    fn what_only_names_a_register_leaves_it() {
        for code in [
            0xd503_233f_u32, // paciasp
            0xd50_323bf,     // autiasp
            0xdac1_03fe,     // pacia x30, sp
            0xf900_001e,     // str x30, [x0]
            0xa900_781d,     // stp x29, x30, [x0]
            0xf821_681e,     // str x30, [x0, x1]
            0xeb1f_03ff,     // cmp xzr, xzr
            0x4e3e_d7fd,     // fadd v29.4s, v31.4s, v30.4s
            0xd503_201f,     // nop
            0xf980_001e,     // prfm #30, [x0]
            0x9100_0400,     // add x0, x0, #1
            0xd400_0001,     // svc #0
        ] {
            assert_eq!(behind(&[code]), [sum(SP, 0), sum(FP, 0), sum(LR, 0)], "{code:#x}");
        }
    }
}
