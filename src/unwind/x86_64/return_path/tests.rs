//! Functions given as bytes, and how they are left.

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
