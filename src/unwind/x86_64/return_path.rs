//! The instructions of x86-64, as far as they lead out of a function.
//!
//! Does: decode and follow them; where a function begins and where it returns, rsp is at the return address. Tell calls, the starts of
//! functions that code names, and the code that begins a thread.
//! Does not: choose the ways.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::effect::{FOLLOWED, apply};
use super::instruction::Branch;
use super::registers::{FP, SP};
use crate::unwind::architecture::CallTarget;
use crate::unwind::return_path::{Flow, Instructions, ReturnPath};
use crate::unwind::symbolic::{State, Sum, Value};

/// The instructions of a call have two to seven bytes, with a prefix eight (Intel SDM, volume 2, "CALL").
const CALL_LENGTHS: std::ops::RangeInclusive<usize> = 2..=8;
/// Bytes in front of the call of a thread's function in which the code that begins the thread prepares it.
const MAX_PREPARATION: usize = 48;
/// Instructions behind that call, with which it ends the thread: musl's are 5, glibc's 4.
const MAX_ENDING: usize = 6;
/// The number of the system call `exit`.
const SYS_EXIT: u64 = 60;

/// What is known at the beginning.
pub fn beginning() -> State {
    State::beginning(FOLLOWED, SP)
}

/// Code that begins at an address.
pub struct Code<'a> {
    decoder: Decoder<'a>,
    base: u64,
}

impl<'a> Code<'a> {
    /// These bytes, at `base`.
    pub fn new(code: &'a [u8], base: u64) -> Code<'a> {
        Code { decoder: Decoder::with_ip(64, code, base, DecoderOptions::NONE), base }
    }

    fn decode(&mut self, address: u64) -> Option<Instruction> {
        if self.decoder.ip() != address {
            let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
            self.decoder.set_position(offset).ok()?;
            self.decoder.set_ip(address);
        }
        self.decoder.can_decode().then(|| self.decoder.decode())
    }
}

impl Instructions for Code<'_> {
    fn follow(&mut self, address: u64, state: &mut State) -> Option<(Flow, u64)> {
        let instruction = self.decode(address)?;
        let flow = match Branch::of(&instruction) {
            None => {
                apply(state, &instruction);
                Flow::On
            }
            Some(Branch::Always(target)) => Flow::To(target),
            Some(Branch::Sometimes(target)) => Flow::Either(target),
            // A call gives the registers back.
            Some(Branch::Call(callee)) => Flow::Call(Some(callee)),
            Some(Branch::CallPointer) => Flow::Call(None),
            Some(Branch::Return) => Flow::Return,
            Some(Branch::Pointer) => Flow::Pointer,
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

    fn left_since(&self, state: &State, _: bool) -> Option<ReturnPath> {
        let Sum { register, offset } = state.on_stack()?;
        let now = |at_beginning: i64| Sum { register, offset: at_beginning.saturating_sub(offset) };
        let entered = Value::Sum(Sum { register: FP, offset: 0 });
        let caller_fp = match state.saved(entered) {
            _ if state.get(FP) == entered => entered,
            Some(slot) => Value::WordAt(now(slot)),
            None => Value::Unknown,
        };
        // The first word that is not the caller's would be pushed below the return address.
        let is_inside = register != SP || offset <= 0;
        is_inside.then(|| ReturnPath { cfa: now(8), return_address: Value::WordAt(now(0)), caller_fp })
    }
}

/// The call that `code`, which ends at `end`, ends with: what is in front of it is not known to begin with an instruction.
pub fn call_before(code: &[u8], end: u64) -> Option<CallTarget> {
    let call = CALL_LENGTHS.rev().find_map(|len| {
        let bytes = code.get(code.len().checked_sub(len)?..)?;
        let mut decoder = Decoder::with_ip(64, bytes, end.wrapping_sub(len as u64), DecoderOptions::NONE);
        let instruction = decoder.decode();
        // A prefix without a meaning could be the end of the instruction before.
        let is_it =
            instruction.len() == len && (len == 2 || bytes[0] == 0xe8 || bytes[0] & 0xf0 == 0x40 || bytes[0] == 0xff);
        match Branch::of(&instruction).filter(|_| is_it)? {
            Branch::Call(callee) => Some(CallTarget::To(callee)),
            Branch::CallPointer => Some(CallTarget::Pointer),
            _ => None,
        }
    });
    call
}

/// The addresses that calls in the code, and its instructions that make an address, name: starts of functions, and others.
pub fn named(code: &[u8], base: u64) -> Vec<u64> {
    let instructions = Decoder::with_ip(64, code, base, DecoderOptions::NONE).into_iter();
    let named = |instruction: Instruction| match Branch::of(&instruction) {
        Some(Branch::Call(callee)) => Some(callee),
        _ if instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand() => {
            Some(instruction.ip_rel_memory_address())
        }
        _ => None,
    };
    instructions.filter_map(named).collect()
}

/// Whether the call in front of `pc` is that of a thread's function, by the code that begins the thread: it zeroes rbp, as the psABI
/// asks of the outermost frame (3.4.1), and behind the call it has nowhere to return to. Either it has aligned rsp and kept it nowhere
/// (`_start`), or it calls by a pointer and makes the system call that ends the thread (`clone`).
pub fn begins_thread(code: &[u8], base: u64, pc: u64) -> bool {
    let Some(end) = pc.checked_sub(base).and_then(|offset| usize::try_from(offset).ok()) else { return false };
    let zeroes = |at: &usize| matches!(code.get(*at..).and_then(|rest| rest.first_chunk()), Some([0x31 | 0x33, 0xed]));
    (end.saturating_sub(MAX_PREPARATION)..end)
        .filter(zeroes)
        .any(|start| begins_thread_at(code, base, base.wrapping_add(start as u64), pc))
}

fn begins_thread_at(code: &[u8], base: u64, start: u64, pc: u64) -> bool {
    let mut code = Code::new(code, base);
    let (mut address, mut aligns, mut state) = (start, false, beginning());
    let by_pointer = loop {
        let Some(instruction) = code.decode(address) else { return false };
        address = instruction.next_ip();
        match Branch::of(&instruction) {
            Some(Branch::Call(_)) if address == pc => break false,
            Some(Branch::CallPointer) if address == pc => break true,
            None if address < pc => {}
            _ => return false,
        }
        apply(&mut state, &instruction);
        aligns |= instruction.mnemonic() == Mnemonic::And && instruction.op0_register() == Register::RSP;
    };
    // What is to be found again behind the call is in a register that calls preserve.
    let keeps =
        |register: &u16| *register != SP && matches!(state.get(*register), Value::Sum(Sum { register: SP, .. }));
    if FOLLOWED.iter().any(keeps) {
        return false;
    }
    aligns || by_pointer && ends_thread(&mut code, pc)
}

/// Whether the instructions from `address` on make the system call `exit`, without a branch.
fn ends_thread(code: &mut Code<'_>, mut address: u64) -> bool {
    let mut number = None;
    for _ in 0..MAX_ENDING {
        let Some(instruction) = code.decode(address) else { return false };
        address = instruction.next_ip();
        if instruction.mnemonic() == Mnemonic::Syscall {
            return number == Some(SYS_EXIT);
        }
        if Branch::of(&instruction).is_some() {
            return false;
        }
        let sets = matches!(instruction.op0_register(), Register::EAX | Register::RAX | Register::AL);
        match (instruction.mnemonic(), instruction.op1_kind()) {
            (Mnemonic::Mov, OpKind::Immediate8 | OpKind::Immediate32 | OpKind::Immediate32to64) if sets => {
                number = Some(instruction.immediate(1));
            }
            (Mnemonic::Xor, _) if sets => number = Some(0),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::return_path::{ends, since_entry};
    use proptest::prelude::*;

    const PC: u64 = 0x7f00_0000_0000;
    const SAME_FP: Value = Value::Sum(Sum { register: FP, offset: 0 });
    const BX: u16 = 3;

    fn return_path(code: &[u8], base: u64, pc: u64) -> Option<ReturnPath> {
        ends(&mut Code::new(code, base), pc, beginning()).agreed()
    }

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
        let far = ends(&mut Code::new(&code[2..], PC + 2), PC + 2, beginning()).far;
        assert_eq!(far, [above_sp(0, SAME_FP).expect("a path")], "and if it is a tail call, this");
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
    fn ways_that_disagree_are_told_side_by_side() {
        // call what comes behind the return, which traps; then the next function: push %rax; pop %rax; pop %rbx; ret
        let code = [0x74, 5, 0xe8, 4, 0, 0, 0, 0x5b, 0xc3, 0xcc, 0xcc, 0x0f, 0x0b];
        assert_eq!(from_start(&code), above_sp(8, SAME_FP), "the call does not return");
        // je over `pop %rax; ret`; ret
        let both = ends(&mut Code::new(&[0x74, 2, 0x58, 0xc3, 0xc3], PC), PC, beginning());
        assert_eq!(both.paths, [above_sp(8, SAME_FP), above_sp(0, SAME_FP)].map(|path| path.expect("a path")));
        // A jump by a table is no return: je over `jmp *%rax`; push %rbx; pop %rbx; ret
        assert_eq!(from_start(&[0x74, 2, 0xff, 0xe0, 0x5b, 0xc3]), above_sp(8, SAME_FP));
    }

    #[test]
    fn what_a_function_has_done_since_its_beginning_tells_its_return_address() {
        // push %rbp; push %rbx; sub $0x18,%rsp; xor %ebp,%ebp; call *%rax; ud2
        let code = [0x55, 0x53, 0x48, 0x83, 0xec, 0x18, 0x31, 0xed, 0xff, 0xd0, 0x0f, 0x0b];
        let since = |pc: u64, in_call| since_entry(&mut Code::new(&code, PC), (PC, PC + pc), in_call, beginning());
        assert_eq!(since(0, false), [above_sp(0, SAME_FP).expect("a path")]);
        assert_eq!(since(2, false), [above_sp(16, SAME_FP).expect("a path")], "rbp is still there");
        assert_eq!(since(8, false), [above_sp(40, word(SP, 32)).expect("a path")]);
        assert_eq!(since(10, true), [above_sp(40, word(SP, 32)).expect("a path")], "in the call");
        assert_eq!(since(3, false), [], "no way comes by inside of an instruction");
        // push %rbp; mov %rsp,%rbp; and $-32,%rsp; nop
        let aligned = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xe0, 0x90];
        let found = since_entry(&mut Code::new(&aligned, PC), (PC, PC + 8), false, beginning());
        assert_eq!(found, [out(FP, 8, word(FP, 0))]);
    }

    #[test]
    fn calls_are_told_from_behind() {
        let before = |code: &[u8]| call_before(&[&[0x90; 8], code].concat(), PC + 8 + code.len() as u64);
        assert_eq!(before(&[0xe8, 0, 1, 0, 0]), Some(CallTarget::To(PC + 8 + 5 + 0x100)));
        for by_pointer in [
            &[0xff, 0xd0][..],
            &[0x41, 0xff, 0xd1],
            &[0xff, 0x50, 0x10],
            &[0xff, 0x15, 0, 0, 0, 0],
            &[0x41, 0xff, 0x94, 0x24, 0, 0, 0, 0],
        ] {
            assert_eq!(before(by_pointer), Some(CallTarget::Pointer), "{by_pointer:x?}");
        }
        for other in [&[0xc3][..], &[0xff, 0xe0], &[0xe9, 0, 0, 0, 0], &[0x48, 0x89, 0xe5]] {
            assert_eq!(before(other), None, "{other:x?}");
        }
        assert_eq!(call_before(&[0xd0], PC), None);
    }

    /// musl 1.2.5's `clone` from where the child begins, and CPython's `_start` on musl.
    #[test]
    fn the_code_that_begins_a_thread_is_known() {
        let clone = [0x31, 0xed, 0x5f, 0x41, 0xff, 0xd1, 0x89, 0xc7, 0x31, 0xc0, 0xb0, 0x3c, 0x0f, 0x05, 0xf4];
        assert!(begins_thread(&clone, PC, PC + 6));
        let start = [0x48, 0x31, 0xed, 0x48, 0x89, 0xe7, 0x48, 0x83, 0xe4, 0xf0, 0xe8, 0, 0, 0, 0];
        assert!(begins_thread(&start, PC, PC + 15));
        // glibc 2.36's: xor %ebp,%ebp; …; mov %rsp,%rdx; and $-16,%rsp; push %rax; push %rsp; …; call *0x2fdb(%rip); hlt
        let glibc = [
            0x31, 0xed, 0x49, 0x89, 0xd1, 0x5e, 0x48, 0x89, 0xe2, 0x48, 0x83, 0xe4, 0xf0, 0x50, 0x54, 0x45, 0x31, 0xc0,
            0x31, 0xc9, 0x48, 0xc7, 0xc7, 0, 0, 0, 0, 0xff, 0x15, 0xdb, 0x2f, 0, 0, 0xf4,
        ];
        assert!(begins_thread(&glibc, PC, PC + 33));
        // glibc 2.36's `clone3` (mov %rax,%rdi; mov $60,%eax; syscall).
        let clone3 = [0x31, 0xed, 0x4c, 0x89, 0xc7, 0xff, 0xd2, 0x48, 0x89, 0xc7, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05];
        assert!(begins_thread(&clone3, PC, PC + 7));
        for (other, pc) in [
            (&[0x31, 0xed, 0xe8, 0, 0, 0, 0, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05][..], 7), // a call of an address
            (&[0x31, 0xed, 0xff, 0xd2, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05], 4),           // exit_group
            (&[0x31, 0xed, 0xff, 0xd2, 0xc3], 4),                                      // it returns
            (&[0x31, 0xed, 0x74, 0, 0xff, 0xd2, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05], 6),  // a branch between
            (&[0x31, 0xed, 0x48, 0x89, 0xe3, 0x48, 0x83, 0xe4, 0xf0, 0xe8, 0, 0, 0, 0], 14), // rsp is kept
        ] {
            assert!(!begins_thread(other, PC, PC + pc), "{other:x?}");
        }
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
            since_entry(&mut Code::new(&bytes, pc), (pc, pc.wrapping_add(20)), true, beginning());
            begins_thread(&bytes, pc, pc.wrapping_add(40));
            call_before(&bytes, pc);
            named(&bytes, pc);
        }
    }
}
