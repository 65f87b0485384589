//! The instructions of x86-64, as far as they lead out of a function.
//!
//! Does: decode and follow them; where a function returns, rsp is at the return address.
//! Does not: choose the ways.

use iced_x86::{Decoder, DecoderOptions};

use super::effect::{FOLLOWED, apply};
use super::instruction::Branch;
use super::registers::{FP, SP};
use crate::unwind::return_path::{self, Flow, Instructions, ReturnPath};
use crate::unwind::symbolic::{State, Value};

/// What is known when the instruction at `pc` is next. `code` begins at `base`, before `pc` where a loop may lead
/// back.
pub fn return_path(code: &[u8], base: u64, pc: u64) -> Option<ReturnPath> {
    let decoder = Decoder::with_ip(64, code, base, DecoderOptions::NONE);
    return_path::return_path(&mut Code { decoder, base }, pc, State::beginning(FOLLOWED))
}

struct Code<'a> {
    decoder: Decoder<'a>,
    base: u64,
}

impl Instructions for Code<'_> {
    fn follow(&mut self, address: u64, state: &mut State) -> Option<(Flow, u64)> {
        if self.decoder.ip() != address {
            let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
            self.decoder.set_position(offset).ok()?;
            self.decoder.set_ip(address);
        }
        if !self.decoder.can_decode() {
            return None;
        }
        let instruction = self.decoder.decode();
        let flow = match Branch::of(&instruction) {
            None => {
                apply(state, &instruction);
                Flow::On
            }
            Some(Branch::Always(target)) => Flow::To(target),
            Some(Branch::Sometimes(target)) => Flow::Either(target),
            // A call gives the registers back.
            Some(Branch::Call(_) | Branch::CallPointer) => Flow::On,
            Some(Branch::Return | Branch::Pointer) => Flow::Out,
            Some(Branch::Trap) => Flow::Nowhere,
        };
        Some((flow, instruction.next_ip()))
    }

    fn left_by(&self, state: &State) -> Option<ReturnPath> {
        let Value::Sum(slot) = state.get(SP) else { return None };
        // What the function has pushed itself is not its return address.
        let is_callers = slot.register != SP || slot.offset >= 0;
        is_callers.then(|| ReturnPath {
            cfa: slot.plus(8),
            return_address: Value::WordAt(slot),
            caller_fp: state.get(FP),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::symbolic::Sum;
    use proptest::prelude::*;

    const PC: u64 = 0x7f00_0000_0000;
    const SAME_FP: Value = Value::Sum(Sum { register: FP, offset: 0 });
    const BX: u16 = 3;

    fn out(register: u16, offset: i64, caller_fp: Value) -> ReturnPath {
        let slot = Sum { register, offset };
        ReturnPath { cfa: slot.plus(8), return_address: Value::WordAt(slot), caller_fp }
    }

    /// A return address so many bytes above rsp, and the caller's rbp.
    fn above_sp(offset: i64, caller_fp: Value) -> Option<ReturnPath> {
        Some(out(SP, offset, caller_fp))
    }

    fn word(register: u16, offset: i64) -> Value {
        Value::WordAt(Sum { register, offset })
    }

    fn from_start(code: &[u8]) -> Option<ReturnPath> {
        return_path(code, PC, PC)
    }

    #[test]
    fn a_loop_leads_back_to_before_the_instruction() {
        // pop %rbx; ret; nop; jmp to the pop: the thread is at the nop.
        let code = [0x5b, 0xc3, 0x90, 0xeb, 0xfb];
        assert_eq!(return_path(&code, PC, PC + 2), above_sp(8, SAME_FP));
        assert_eq!(return_path(&code[2..], PC + 2, PC + 2), None, "without that code there is no way out");
    }

    #[test]
    fn a_popped_rbp_is_the_callers() {
        // add $0x20,%rsp; pop %rbx; pop %rbp; ret
        assert_eq!(from_start(&[0x48, 0x83, 0xc4, 0x20, 0x5b, 0x5d, 0xc3]), above_sp(0x30, word(SP, 0x28)));
        // pop %rbx; ret
        assert_eq!(from_start(&[0x5b, 0xc3]), above_sp(8, SAME_FP));
        // pop %rbx; push %rbp; pop %rbp; ret: what is popped is not what is on the stack now.
        assert_eq!(from_start(&[0x5b, 0x55, 0x5d, 0xc3]), above_sp(8, SAME_FP));
        // xor %ebp,%ebp; ret
        assert_eq!(from_start(&[0x31, 0xed, 0xc3]), above_sp(0, Value::Unknown));
    }

    #[test]
    fn pops_lead_to_the_return() {
        assert_eq!(from_start(&[0xc3]), above_sp(0, SAME_FP));
        // pop %rax; jmp *%rcx
        assert_eq!(from_start(&[0x58, 0xff, 0xe1]), above_sp(8, SAME_FP));
    }

    #[test]
    fn both_ways_of_a_branch_must_agree() {
        // je over `pop %rax; ret`; then `pop %rax; ret`, or `ret`.
        assert_eq!(from_start(&[0x74, 2, 0x58, 0xc3, 0x58, 0xc3]), above_sp(8, SAME_FP));
        assert_eq!(from_start(&[0x74, 2, 0x58, 0xc3, 0xc3]), None);
    }

    /// OpenBLAS's `dgemm_kernel` in short: registers saved by moves, the frame aligned to a page, a loop.
    const ALIGNED_KERNEL: [u8; 55] = [
        0x48, 0x83, 0xec, 0x60, // 00: sub $0x60,%rsp
        0x48, 0x89, 0x1c, 0x24, // 04: mov %rbx,(%rsp)
        0x48, 0x89, 0x6c, 0x24, 0x08, // 08: mov %rbp,0x8(%rsp)
        0x48, 0x89, 0xe3, // 0d: mov %rsp,%rbx
        0x48, 0x81, 0xec, 0x80, 0x70, 0x00, 0x00, // 10: sub $0x7080,%rsp
        0x48, 0x81, 0xe4, 0x00, 0xf0, 0xff, 0xff, // 17: and $-0x1000,%rsp
        0x48, 0x31, 0xed, // 1e: xor %rbp,%rbp
        0x48, 0xff, 0xc8, // 21: dec %rax
        0x75, 0xf8, // 24: jne 1e
        0x48, 0x89, 0xdc, // 26: mov %rbx,%rsp
        0x48, 0x8b, 0x1c, 0x24, // 29: mov (%rsp),%rbx
        0x48, 0x8b, 0x6c, 0x24, 0x08, // 2d: mov 0x8(%rsp),%rbp
        0x48, 0x83, 0xc4, 0x60, // 32: add $0x60,%rsp
        0xc3, // 36: ret
    ];

    #[test]
    fn a_frame_that_is_aligned_is_left_by_the_register_that_keeps_rsp() {
        let at = |offset| return_path(&ALIGNED_KERNEL, PC, PC + offset);
        let by_rbx = out(BX, 0x60, word(BX, 8));
        assert_eq!(at(0), above_sp(0, SAME_FP), "at its entry");
        assert_eq!(at(8), above_sp(0x60, SAME_FP), "before rbp is saved");
        assert_eq!(at(0xd), above_sp(0x60, word(SP, 8)), "behind that");
        for inside in [0x10, 0x17, 0x1e, 0x21, 0x26] {
            assert_eq!(at(inside), Some(by_rbx), "at {inside:#x}");
        }
        assert_eq!(at(0x29), above_sp(0x60, word(SP, 8)), "rsp is back");
        assert_eq!(at(0x32), above_sp(0x60, SAME_FP), "rbp is back, too");
    }

    #[test]
    fn a_register_that_kept_rsp_and_was_written_keeps_it_no_longer() {
        // mov %rsp,%rbx; and $-16,%rsp; then one of these; mov %rbx,%rsp; ret
        let with = |written: &[u8]| {
            from_start(&[&[0x48, 0x89, 0xe3, 0x48, 0x83, 0xe4, 0xf0][..], written, &[0x48, 0x89, 0xdc, 0xc3]].concat())
        };
        assert_eq!(with(&[]), above_sp(0, SAME_FP));
        assert_eq!(with(&[0x48, 0x85, 0xdb]), above_sp(0, SAME_FP), "test %rbx,%rbx");
        assert_eq!(with(&[0xb3, 0x01]), None, "mov $1,%bl");
        assert_eq!(with(&[0x48, 0x93]), None, "xchg %rax,%rbx");
        assert_eq!(with(&[0x0f, 0xa2]), None, "cpuid");
        assert_eq!(with(&[0x48, 0xff, 0xc3, 0x75, 0xfb]), None, "inc %rbx in a loop");
    }

    #[test]
    fn a_frame_record_is_left_by_rbp() {
        let by_rbp = out(FP, 8, word(FP, 0));
        assert_eq!(from_start(&[0xc9, 0xc3]), Some(by_rbp), "leave; ret");
        // lea -8(%rbp),%rsp; pop %rbx; pop %rbp; ret
        assert_eq!(from_start(&[0x48, 0x8d, 0x65, 0xf8, 0x5b, 0x5d, 0xc3]), Some(by_rbp));
    }

    #[test]
    fn code_that_does_not_end_has_no_answer() {
        assert_eq!(from_start(&[0xeb, 0xfe]), None, "jmp to itself");
        assert_eq!(from_start(&[0x50, 0xeb, 0xfd]), None, "a push in a loop");
        assert_eq!(from_start(&[0x90]), None, "it ends first");
        assert_eq!(from_start(&[0x48, 0x29, 0xc4, 0xc3]), None, "sub %rax,%rsp");
        assert_eq!(from_start(&[0x5c, 0xc3]), None, "pop %rsp");
        assert_eq!(from_start(&[0x50, 0xc3]), None, "it would return to what it has pushed");
    }

    proptest! {
        /// Whatever the bytes are: an answer or none, and no panic.
        #[test]
        fn garbage_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), pc in any::<u64>()) {
            return_path(&bytes, pc, pc);
        }
    }
}
