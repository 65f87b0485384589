//! The instructions of AArch64, as far as they lead out of a function.
//!
//! Does: decode and follow them; where a function begins and where it returns, its return address is in x30 and sp is its caller's.
//! Tell calls, the starts of functions that code calls, and the code that begins a thread.
//! Does not: choose the ways.

use super::effect::{FOLLOWED, apply};
use super::instruction::{Branch, LEN};
use super::linkage;
use super::registers::{FP, LR, SP};
use crate::unwind::architecture::CallTarget;
use crate::unwind::return_path::{Flow, Instructions, ReturnPath};
use crate::unwind::symbolic::{State, Sum, Value};

/// Instructions behind the call of a thread's function, with which the thread is ended.
const MAX_ENDING: u64 = 4;
/// `mov x8, #93`: the number of the system call `exit`.
const MOV_X8_EXIT: u32 = 0xd280_0ba8;
/// `svc #0`.
const SVC: u32 = 0xd400_0001;
/// `ldp x1, x0, [sp], #16`: musl's `clone` takes the function and its argument off the new stack.
const POP_FUNCTION: u32 = 0xa8c1_03e1;
/// `mov x29, #0` and `mov x29, xzr`: glibc's marks the outermost frame so.
const ZERO_FP: [u32; 2] = [0xd280_001d, 0xaa1f_03fd];
/// Instructions in front of the call in which one of these is.
const MAX_PREPARATION: u64 = 8;

/// What is known at the beginning.
pub fn beginning() -> State {
    State::beginning(FOLLOWED, SP)
}

/// Code that begins at an address.
pub struct Code<'a> {
    bytes: &'a [u8],
    base: u64,
}

impl<'a> Code<'a> {
    /// These bytes, at `base`.
    pub fn new(bytes: &'a [u8], base: u64) -> Code<'a> {
        Code { bytes, base }
    }

    fn word(&self, address: u64) -> Option<u32> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        Some(u32::from_le_bytes(*self.bytes.get(offset..)?.first_chunk()?))
    }
}

impl Instructions for Code<'_> {
    fn follow(&mut self, address: u64, state: &mut State) -> Option<(Flow, u64)> {
        let word = self.word(address)?;
        let flow = match Branch::decode(word, address) {
            None => {
                apply(state, word);
                Flow::On
            }
            Some(Branch::Always(target)) => Flow::To(target),
            Some(Branch::Sometimes(target)) => Flow::Either(target),
            Some(Branch::Call(callee)) => {
                state.set(LR, Value::Unknown);
                Flow::Call(Some(callee))
            }
            Some(Branch::CallRegister) => {
                state.set(LR, Value::Unknown);
                Flow::Call(None)
            }
            // `ret` and `br x30` are one thing but for the prediction.
            Some(Branch::Register(LR)) => Flow::Return,
            Some(Branch::Register(_)) => Flow::Pointer,
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

    fn left_since(&self, state: &State, in_call: bool) -> Option<ReturnPath> {
        let Sum { register, offset } = state.on_stack()?;
        let now = |at_beginning: i64| Sum { register, offset: at_beginning.saturating_sub(offset) };
        let entered = |register: u16| Value::Sum(Sum { register, offset: 0 });
        let kept = |register: u16| match state.saved(entered(register)) {
            _ if state.get(register) == entered(register) && !(in_call && register == LR) => entered(register),
            Some(slot) => Value::WordAt(now(slot)),
            None => Value::Unknown,
        };
        let is_inside = register != SP || offset <= 0;
        is_inside.then(|| ReturnPath { cfa: now(0), return_address: kept(LR), caller_fp: kept(FP) })
    }
}

/// The call that `code`, which ends at `end`, ends with.
pub fn call_before(code: &[u8], end: u64) -> Option<CallTarget> {
    let word = u32::from_le_bytes(*code.last_chunk()?);
    match Branch::decode(word, end.wrapping_sub(LEN))? {
        Branch::Call(callee) => Some(CallTarget::To(callee)),
        Branch::CallRegister => Some(CallTarget::Pointer),
        _ => None,
    }
}

/// The addresses that calls in the code, and `adrp` with the `add` to it, name: starts of functions, and others.
pub fn named(code: &[u8], base: u64) -> Vec<u64> {
    let mut pages = [None; 32];
    let mut named = Vec::new();
    for (address, word) in (base..).step_by(LEN as usize).zip(code.as_chunks::<4>().0) {
        let word = u32::from_le_bytes(*word);
        let (to, from) = ((word & 31) as usize, (word >> 5 & 31) as usize);
        if let Some(Branch::Call(callee)) = Branch::decode(word, address) {
            named.push(callee);
        } else if let Some(page) = linkage::page(word, address) {
            pages[to] = Some(page);
        } else if word & 0xffc0_0000 == 0x9100_0000 {
            // add of 64 bits, with a number that is not shifted
            named.extend(pages[from].map(|page: u64| page.wrapping_add(u64::from(word >> 10 & 0xfff))));
        }
    }
    named
}

/// Whether the call in front of `pc` is that of a thread's function, by the code that begins the thread (`clone`): it calls by a pointer,
/// in a frame that it has marked as the outermost, or with what it has taken off the stack that it had never put there; and behind the
/// call it makes the system call that ends the thread, without a branch.
pub fn begins_thread(code: &[u8], base: u64, pc: u64) -> bool {
    let code = Code::new(code, base);
    let before = |n: u64| code.word(pc.checked_sub(LEN.checked_mul(n)?)?);
    let is_branch = |word: u32| Branch::decode(word, pc).is_some();
    let by_pointer = before(1).and_then(|word| Branch::decode(word, pc)) == Some(Branch::CallRegister);
    let preparation = (2..=MAX_PREPARATION).map_while(|n| before(n).filter(|word| !is_branch(*word)));
    let takes = before(2) == Some(POP_FUNCTION);
    let is_outermost = takes || preparation.into_iter().any(|word| ZERO_FP.contains(&word));
    let behind = (0..MAX_ENDING).map_while(|n| code.word(pc.wrapping_add(n * LEN)).filter(|word| !is_branch(*word)));
    let mut number_is_set = false;
    let ends = behind.into_iter().any(|word| {
        number_is_set |= word == MOV_X8_EXIT;
        number_is_set && word == SVC
    });
    by_pointer && is_outermost && ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::return_path::{ends, since_entry};
    use proptest::prelude::*;

    const PC: u64 = 0xffff_ba62_1000;

    fn at(code: &[u32], pc: u64) -> Option<ReturnPath> {
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        ends(&mut Code::new(&bytes, PC), pc, beginning()).agreed()
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

    fn bytes(code: &[u32]) -> Vec<u8> {
        code.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn what_a_function_has_done_since_its_beginning_tells_its_return_address() {
        // stp x29, x30, [sp, #-32]!; mov x29, sp; bl itself; brk #1
        let code = bytes(&[0xa9be_7bfd, 0x9100_03fd, 0x97ff_fffe, 0xd420_0020]);
        let since = |pc: u64, in_call| since_entry(&mut Code::new(&code, PC), (PC, PC + pc), in_call, beginning());
        assert_eq!(since(0, false), [leaf().expect("a path")]);
        assert_eq!(since(12, true), [framed(32, 0).expect("a path")], "in the call");
        // x30 is what it was until the call.
        assert_eq!(since(8, false)[0].return_address, Value::Sum(sum(LR, 0)));
    }

    #[test]
    fn calls_that_do_not_return_end_a_way() {
        // cbz x0, behind the call; bl to the brk; ldp x29, x30, [sp], #16; ret; brk
        assert_eq!(at(&[0xb400_0040, 0x9400_0003, 0xa8c1_7bfd, 0xd65f_03c0, 0xd420_0020], PC), framed(16, 0));
        // adrp x16, one page on; bl; add x1, x16, #0x18
        let code = bytes(&[0xb000_0010, 0x9400_0003, 0x9100_6201]);
        assert_eq!(named(&code, PC), [PC + 16, PC + 0x1018]);
        assert_eq!(call_before(&bytes(&[0x9400_0003]), PC + 4), Some(CallTarget::To(PC + 12)));
        assert_eq!(call_before(&bytes(&[0xd63f_0100]), PC + 4), Some(CallTarget::Pointer));
        assert_eq!(call_before(&bytes(&[0xd65f_03c0]), PC + 4), None);
    }

    /// musl 1.2.5's `clone` from where the child begins.
    #[test]
    fn the_code_that_begins_a_thread_is_known() {
        // ldp x1, x0, [sp], #16; blr x1; mov x8, #93; svc #0
        let clone = [0xa8c1_03e1, 0xd63f_0020, 0xd280_0ba8, 0xd400_0001];
        assert!(begins_thread(&bytes(&clone), PC, PC + 8));
        // mov x29, #0; blr x1 …
        assert!(begins_thread(&bytes(&[&[0xd280_001d], &clone[1..]].concat()), PC, PC + 8));
        for other in [
            [0xa8c1_03e1, 0x9400_0001, 0xd280_0ba8, 0xd400_0001], // bl
            [0xa8c1_03e1, 0xd63f_0020, 0xd280_0bc8, 0xd400_0001], // exit_group
            [0xa8c1_03e1, 0xd63f_0020, 0xd65f_03c0, 0xd400_0001], // ret
            [0xd503_201f, 0xd63f_0020, 0xd280_0ba8, 0xd400_0001], // nop
        ] {
            assert!(!begins_thread(&bytes(&other), PC, PC + 8), "{other:x?}");
        }
    }

    proptest! {
        /// Whatever the words are: an answer or none, and no panic.
        #[test]
        fn garbage_does_no_harm(code in prop::collection::vec(any::<u32>(), 0..300), start in 0u64..1300) {
            at(&code, PC + start);
            let bytes = bytes(&code);
            since_entry(&mut Code::new(&bytes, PC), (PC, PC + start), true, beginning());
            begins_thread(&bytes, PC, PC + start);
            named(&bytes, PC);
        }
    }
}
