//! The instructions of AArch64, as far as they lead out of a function.
//!
//! Does: decode and follow them; where a function returns, its return address is in x30 and sp is its caller's.
//! Does not: choose the ways.

use super::effect::{FOLLOWED, apply};
use super::instruction::{Branch, LEN};
use super::registers::{FP, LR, SP};
use crate::unwind::return_path::{self, Flow, Instructions, ReturnPath};
use crate::unwind::symbolic::{State, Value};

/// What is known when the instruction at `pc` is next. `code` begins at `base`, before `pc` where a loop may lead back.
pub fn return_path(code: &[u8], base: u64, pc: u64) -> Option<ReturnPath> {
    return_path::return_path(&mut Code { bytes: code, base }, pc, State::beginning(FOLLOWED))
}

struct Code<'a> {
    bytes: &'a [u8],
    base: u64,
}

impl Instructions for Code<'_> {
    fn follow(&mut self, address: u64, state: &mut State) -> Option<(Flow, u64)> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let word = u32::from_le_bytes(*self.bytes.get(offset..)?.first_chunk()?);
        let flow = match Branch::decode(word, address) {
            None => {
                apply(state, word);
                Flow::On
            }
            Some(Branch::Always(target)) => Flow::To(target),
            Some(Branch::Sometimes(target)) => Flow::Either(target),
            Some(Branch::Call(_) | Branch::CallRegister) => {
                state.set(LR, Value::Unknown);
                Flow::On
            }
            Some(Branch::Register(_)) => Flow::Out,
            Some(Branch::Trap) => Flow::Nowhere,
        };
        Some((flow, address.checked_add(LEN)?))
    }

    fn left_by(&self, state: &State) -> Option<ReturnPath> {
        let Value::Sum(cfa) = state.get(SP) else { return None };
        // What the function has taken itself is not its caller's.
        let is_callers = cfa.register != SP || cfa.offset >= 0;
        is_callers.then(|| ReturnPath { cfa, return_address: state.get(LR), caller_fp: state.get(FP) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::symbolic::Sum;
    use proptest::prelude::*;

    const PC: u64 = 0xffff_ba62_1000;

    fn at(code: &[u32], pc: u64) -> Option<ReturnPath> {
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        return_path(&bytes, PC, pc)
    }

    fn sum(register: u16, offset: i64) -> Sum {
        Sum { register, offset }
    }

    /// A frame of so many bytes, whose record is at `record` above sp.
    fn framed(size: i64, record: i64) -> Option<ReturnPath> {
        let (fp, lr) = (Value::WordAt(sum(SP, record)), Value::WordAt(sum(SP, record + 8)));
        Some(ReturnPath { cfa: sum(SP, size), return_address: lr, caller_fp: fp })
    }

    /// Nothing was saved.
    fn leaf() -> Option<ReturnPath> {
        let (fp, lr) = (Value::Sum(sum(FP, 0)), Value::Sum(sum(LR, 0)));
        Some(ReturnPath { cfa: sum(SP, 0), return_address: lr, caller_fp: fp })
    }

    #[test]
    fn an_entry_of_the_procedure_linkage_table_is_left_by_x30() {
        // bti c; adrp x16; ldr x17, [x16, #3376]; add x16, x16, #0xd30; br x17
        let stub = [0xd503_245f, 0x9000_0010, 0xf946_9a11, 0x9134_c210, 0xd61f_0220];
        for n in 0..5 {
            assert_eq!(at(&stub, PC + 4 * n), leaf(), "instruction {n}");
        }
    }

    /// A piece of 3.14's JIT code: it calls a function, and goes on in one of two others.
    const JIT: [u32; 12] = [
        0xf240_1d1f, // 00: tst x8, #0xff
        0x5400_0140, // 04: b.eq 2c
        0xa9bf_7bfd, // 08: stp x29, x30, [sp, #-16]!
        0xf900_2295, // 0c: str x21, [x20, #64]
        0x9100_03fd, // 10: mov x29, sp
        0xd63f_0100, // 14: blr x8
        0xf940_2295, // 18: ldr x21, [x20, #64]
        0xa8c1_7bfd, // 1c: ldp x29, x30, [sp], #16
        0x3400_0040, // 20: cbz w0, 28
        0xd61f_0100, // 24: br x8
        0xd65f_03c0, // 28: ret
        0xd65f_03c0, // 2c: ret
    ];

    #[test]
    fn the_code_of_a_jit_is_left_wherever_it_stands() {
        for before in [0, 4, 8, 0x20, 0x24, 0x28] {
            assert_eq!(at(&JIT, PC + before), leaf(), "{before:#x}");
        }
        assert_eq!(at(&JIT, PC + 0x18), framed(16, 0), "behind its call");
        let pushed = at(&JIT, PC + 0xc).expect("there is a way out");
        assert_eq!((pushed.cfa, pushed.return_address), (sum(SP, 16), Value::WordAt(sum(SP, 8))));
    }

    #[test]
    fn ways_must_agree_and_end() {
        // cbz x0, over the pop; ldp x29, x30, [sp], #16; ret
        assert_eq!(at(&[0xb400_0040, 0xa8c1_7bfd, 0xd65f_03c0], PC), None);
        assert_eq!(at(&[0x1400_0000], PC), None, "b to itself");
        assert_eq!(at(&[0xd503_201f], PC), None, "nop, and no more code");
        assert_eq!(at(&[0xd420_0020, 0xd65f_03c0], PC), None, "brk");
        assert_eq!(at(&[0xa9bf_7bfd, 0xd65f_03c0], PC), None, "it would return from below what it has pushed");
        assert_eq!(at(&[0xcb21_63ff, 0xd65f_03c0], PC), None, "sub sp, sp, x1");
    }

    proptest! {
        /// Whatever the words are: an answer or none, and no panic.
        #[test]
        fn garbage_does_no_harm(code in prop::collection::vec(any::<u32>(), 0..300), start in 0u64..1300) {
            at(&code, PC + start);
        }
    }
}
