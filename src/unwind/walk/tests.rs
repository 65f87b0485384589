//! Stacks in memory, and what the walk makes of them.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::address_space::CodeRange;
use super::super::eh_frame_writer::{Function, program, tables};
use super::super::in_memory::{self, mapped};
use super::*;
use crate::unwind::x86_64::X86_64;

const BIAS: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7ffc_0000_0000;
/// Functions of the test module: the thread's entry, one with a frame record, one without, the signal trampoline.
const ENTRY: u64 = 0x1000;
const FRAMED: u64 = 0x1100;
const FRAMELESS: u64 = 0x1200;
const TRAMPOLINE: u64 = 0x1300;
const NEEDS_RBX: u64 = 0x1400;
/// It says that rbp is saved at rbp, as functions do that have realigned their frame.
const REALIGNED: u64 = 0x1500;
/// It names its frame by r11, which a call may change.
const BY_R11: u64 = 0x1600;
/// A function that calls nobody, and one that writes r11.
const LEAF: u64 = 0x1700;
const WRITES_R11: u64 = 0x1800;
const TEXT_END: u64 = 0x1900;
const JIT: u64 = 0x7e00_0000_0000;

fn module() -> ModuleUnwinder {
    let function = |start, program| Function { start, len: 0x100, program, is_signal_frame: false };
    // glibc's __restore_rt: everything is in the ucontext at rsp; uc_mcontext.gregs begins at 40, with RBP the
    // 11th, RBX the 12th, RSP the 16th and RIP the 17th of them (sys/ucontext.h).
    let from_context = |register, offset: u8| program::expression(register, &[0x77, offset & 0x7f | 0x80, offset >> 7]);
    let trampoline = [
        program::cfa_expression(&[0x77, 160 & 0x7f | 0x80, 1, 0x06]),
        from_context(6, 120),
        from_context(3, 128),
        from_context(7, 160),
        from_context(16, 168),
    ]
    .concat();
    let functions = [
        function(ENTRY, program::thread_entry()),
        function(FRAMED, program::frame_pointer()),
        function(FRAMELESS, program::no_frame_pointer(32)),
        Function { start: TRAMPOLINE, len: 0x100, program: trampoline, is_signal_frame: true },
        function(NEEDS_RBX, [program::cfa_register(3), program::cfa_offset(16)].concat()),
        function(BY_R11, [program::cfa_register(11), program::cfa_offset(8)].concat()),
        function(LEAF, Vec::new()),
        function(WRITES_R11, Vec::new()),
        function(REALIGNED, [program::cfa_offset(16), program::expression(6, &[0x76, 0])].concat()),
    ];
    let mut text = in_memory::Text::new(ENTRY..TEXT_END, 0x90);
    // mov $0,%r11d
    text.put(WRITES_R11 + 0x40, &[0x41, 0xbb, 0, 0, 0, 0]);
    in_memory::module(tables(&functions, 0x10_0000)).with_code(Arc::new(text))
}

fn space() -> AddressSpace {
    let jit = |n, keeps_frame_pointers| CodeRange {
        start: Addr(JIT + n),
        end: Addr(JIT + n + 0x1000),
        code: Code::Anonymous { keeps_frame_pointers },
    };
    // Two pages of the module more than its tables describe.
    let text = mapped(module(), BIAS, ENTRY..TEXT_END + 0x2000);
    AddressSpace::new(vec![text, jit(0, true), jit(0x1000, false)])
}

fn stack(words: &[u64]) -> Region {
    in_memory::stack(STACK, words)
}

fn registers(known: &[(usize, u64)]) -> Registers {
    let mut registers = Registers::new();
    known.iter().for_each(|&(n, value)| registers.set(n, value));
    registers
}

/// The place in the stack of word `n`.
fn at(n: u64) -> u64 {
    STACK + 8 * n
}

/// A call in progress in the body of `function`.
fn call_in(function: u64) -> u64 {
    BIAS + function + 0x20
}

fn unwind(registers: &Registers, words: &[u64]) -> NativeStack {
    let mut out = NativeStack::empty();
    Unwinder::<X86_64>::new().unwind(registers, &stack(words), &space(), &mut out);
    out
}

fn pcs(stack: &NativeStack) -> Vec<u64> {
    stack.frames.iter().map(|f| f.pc.0).collect()
}

#[test]
fn mixes_functions_with_and_without_frame_records() {
    let (framed, frameless, entry) = (call_in(FRAMED), call_in(FRAMELESS), call_in(ENTRY));
    // A leaf without a record, its caller with one (words 4..), a frameless one above it, the entry.
    let words = [0, 0, 0, framed, 0, 0, at(99), frameless, 0, 0, 0, entry, 0];
    let out = unwind(&registers(&[(16, frameless), (7, STACK), (6, at(6))]), &words);
    assert_eq!(out.end, StackEnd::ThreadEntry);
    assert_eq!(pcs(&out), [frameless, framed, frameless, entry]);
    assert_eq!(out.frames.iter().map(|f| f.cfa.0).collect::<Vec<_>>(), [at(4), at(8), at(12), at(13)]);
    assert_eq!(out.frames.iter().map(|f| f.is_return_address).collect::<Vec<_>>(), [false, true, true, true]);
}

#[test]
fn a_frame_is_found_by_a_register_that_calls_may_change_where_the_leaf_that_it_calls_has_kept_it() {
    let by_r11 = call_in(BY_R11);
    // The leaf's return address, the frame of its caller, whose return address is below where r11 points.
    let words = [by_r11, 0, 0, call_in(ENTRY), 0];
    let from = |leaf: u64, r11: &[(usize, u64)]| {
        unwind(&registers(&[&[(16, BIAS + leaf), (7, STACK), (6, at(99))], r11].concat()), &words)
    };
    let out = from(LEAF, &[(11, at(3))]);
    assert_eq!((out.end, pcs(&out)), (StackEnd::ThreadEntry, vec![BIAS + LEAF, by_r11, call_in(ENTRY)]));
    let lost = StackEnd::UnknownRegister(Addr(by_r11));
    assert_eq!(from(WRITES_R11, &[(11, at(3))]).end, lost, "it may hold anything");
    assert_eq!(from(LEAF, &[]).end, lost, "the kernel does not tell it of a blocked thread");
}

#[test]
fn a_leaf_in_its_prologue_keeps_its_caller() {
    // At the first instruction of FRAMED: the record has not been made, rbp is still the caller's.
    let words = [call_in(FRAMED), 0, at(99), call_in(ENTRY), 0];
    let out = unwind(&registers(&[(16, BIAS + FRAMED), (7, STACK), (6, at(2))]), &words);
    assert_eq!(pcs(&out), [BIAS + FRAMED, call_in(FRAMED), call_in(ENTRY)]);
    assert_eq!(out.end, StackEnd::ThreadEntry);
}

#[test]
fn an_rbp_that_points_above_its_frame_is_the_callers_again() {
    let callers = [call_in(FRAMED), call_in(ENTRY)];
    // The record of FRAMED is at word 2, and a wrong one at the address that is in it.
    let words = [at(2), callers[0], at(5), callers[1], 0, at(99), 0x1234];
    for bp in [at(0), at(2)] {
        let out = unwind(&registers(&[(16, call_in(REALIGNED)), (7, STACK), (6, bp)]), &words);
        assert_eq!(pcs(&out), [call_in(REALIGNED), callers[0], callers[1]], "saved, and restored");
        assert_eq!(out.end, StackEnd::ThreadEntry);
    }
}

#[test]
fn a_signal_frame_gives_the_interrupted_instruction() {
    let interrupted = BIAS + FRAMED;
    let mut words = [0; 40];
    // The handler is frameless; it returns into the trampoline at word 4, where the ucontext begins.
    // glibc's entry for the trampoline starts a byte before it, so that the lookup of its return address finds it.
    words[3] = BIAS + TRAMPOLINE + 1;
    words[4 + 120 / 8] = at(32);
    words[4 + 160 / 8] = at(30);
    words[4 + 168 / 8] = interrupted;
    words[30] = call_in(FRAMED);
    words[32] = at(99);
    words[33] = call_in(ENTRY);
    let out = unwind(&registers(&[(16, call_in(FRAMELESS)), (7, STACK), (6, 1)]), &words);
    assert_eq!(pcs(&out), [call_in(FRAMELESS), BIAS + TRAMPOLINE + 1, interrupted, call_in(FRAMED), call_in(ENTRY)]);
    assert_eq!(out.frames.iter().map(|f| f.is_return_address).collect::<Vec<_>>(), [false, true, false, true, true]);
    assert_eq!(out.frames[1].cfa.0, at(30));
    assert_eq!(out.end, StackEnd::ThreadEntry);
}

#[test]
fn a_rule_that_needs_another_register_gets_it_from_the_leaf() {
    // rbx passes through a frameless leaf unchanged: only the walk with all registers knows it.
    let words = [0, 0, 0, call_in(NEEDS_RBX), 0, 0, 0, call_in(ENTRY), 0];
    let known = [(16, call_in(FRAMELESS)), (7, STACK), (6, 1), (3, at(6))];
    let out = unwind(&registers(&known), &words);
    assert_eq!(pcs(&out), [call_in(FRAMELESS), call_in(NEEDS_RBX), call_in(ENTRY)]);
    assert_eq!(out.end, StackEnd::ThreadEntry);
    let without_rbx = unwind(&registers(&known[..3]), &words);
    assert_eq!(without_rbx.end, StackEnd::UnknownRegister(Addr(call_in(NEEDS_RBX))));
}

#[test]
fn says_why_a_stack_ends() {
    let end = |known: &[(usize, u64)], words: &[u64]| unwind(&registers(known), words).end;
    let (framed, frameless) = (call_in(FRAMED), call_in(FRAMELESS));
    assert_eq!(end(&[(16, framed), (7, STACK)], &[0; 8]), StackEnd::UnknownRegister(Addr(framed)));
    assert_eq!(end(&[(16, 0x99), (7, STACK)], &[0; 8]), StackEnd::UnmappedCode(Addr(0x99)));
    assert_eq!(end(&[(16, frameless), (7, STACK)], &[0; 2]), StackEnd::UnreadableStack(Addr(frameless)));
    assert_eq!(end(&[(16, framed), (7, at(4)), (6, at(1))], &[0; 8]), StackEnd::NotAscending(Addr(framed)));
    let untold = BIAS + TEXT_END + 8;
    assert_eq!(end(&[(16, untold), (7, STACK)], &[0; 8]), StackEnd::NoUnwindRule(Addr(untold)));
    assert_eq!(end(&[(16, frameless), (7, STACK)], &[0; 8]), StackEnd::ThreadEntry, "a return address of zero");
}

#[test]
fn anonymous_code_is_stepped_out_of_only_where_its_record_holds() {
    let words = [0, 0, at(6), call_in(FRAMED), 0, 0, at(99), call_in(ENTRY), 0];
    let start = |pc, bp| registers(&[(16, pc), (7, STACK), (6, bp)]);
    let out = unwind(&start(JIT + 5, at(2)), &words);
    assert_eq!(pcs(&out), [JIT + 5, call_in(FRAMED), call_in(ENTRY)]);
    assert_eq!(out.end, StackEnd::ThreadEntry);
    let no_record = StackEnd::NoUnwindRule(Addr(JIT + 5));
    assert_eq!(unwind(&start(JIT + 5, at(4)), &words).end, no_record, "returns to no code");
    assert_eq!(unwind(&start(JIT + 5, 77), &words).end, no_record, "rbp is no stack address");
    let unknown_maker = JIT + 0x1005;
    assert_eq!(unwind(&start(unknown_maker, at(2)), &words).end, StackEnd::NoUnwindRule(Addr(unknown_maker)));
}

#[test]
fn resumes_above_what_it_has_and_not_below() {
    let words = [0, 0, 0, 0x99, 0, 0, 0, call_in(ENTRY), 0];
    let mut out = NativeStack::empty();
    let (mut unwinder, space, stack) = (Unwinder::<X86_64>::new(), space(), stack(&words));
    unwinder.unwind(&registers(&[(16, call_in(FRAMELESS)), (7, STACK)]), &stack, &space, &mut out);
    assert_eq!(out.end, StackEnd::UnmappedCode(Addr(0x99)));
    let pc = Addr(call_in(FRAMELESS));
    let mut from = FramePosition { pc, is_return_address: true, sp: Addr(at(4)), fp: None };
    unwinder.resume(from, &stack, &space, &mut out);
    assert_eq!((out.end, out.frames.len()), (StackEnd::ThreadEntry, 3));
    from.sp = Addr(at(1));
    unwinder.resume(from, &stack, &space, &mut out);
    assert_eq!((out.end, out.frames.len()), (StackEnd::NotAscending(pc), 3));
}

#[test]
fn a_new_address_space_makes_the_cache_forget() {
    let words = [0, 0, 0, 0, 0];
    let (mut unwinder, mut out) = (Unwinder::<X86_64>::new(), NativeStack::empty());
    let registers = registers(&[(16, call_in(FRAMELESS)), (7, STACK)]);
    unwinder.unwind(&registers, &stack(&words), &space(), &mut out);
    assert_eq!(out.end, StackEnd::ThreadEntry);
    unwinder.unwind(&registers, &stack(&words), &AddressSpace::new(Vec::new()), &mut out);
    assert_eq!(out.end, StackEnd::UnmappedCode(Addr(call_in(FRAMELESS))));
}

#[test]
fn an_endless_stack_is_cut() {
    // Each frame returns into the same function, 4 words up, for longer than the bound.
    let words: Vec<u64> = std::iter::repeat_n(call_in(FRAMELESS), 4 * (MAX_FRAMES + 10)).collect();
    let out = unwind(&registers(&[(16, call_in(FRAMELESS)), (7, STACK)]), &words);
    assert_eq!((out.end, out.frames.len()), (StackEnd::TooDeep, MAX_FRAMES));
}

proptest! {
    /// Whatever is on the stack and in the registers: no panic, and frames that go up.
    #[test]
    fn garbage_gives_ascending_frames(
        words in prop::collection::vec(
            prop_oneof![any::<u64>(), (0..64u64).prop_map(at), (0..0x600u64).prop_map(|n| BIAS + ENTRY + n), JIT..JIT + 0x2000],
            0..64,
        ),
        pc in prop_oneof![(0..0x600u64).prop_map(|n| BIAS + ENTRY + n), JIT..JIT + 0x2000, any::<u64>()],
        sp in prop_oneof![(0..64u64).prop_map(at), any::<u64>()],
        bp in prop::option::of(prop_oneof![(0..64u64).prop_map(at), any::<u64>()]),
        start in prop_oneof![Just(STACK), Just(u64::MAX - 63), any::<u64>()],
    ) {
        let mut registers = registers(&[(16, pc), (7, sp)]);
        if let Some(bp) = bp {
            registers.set(6, bp);
        }
        let mut region = stack(&words);
        region.start = Addr(start);
        let mut out = NativeStack::empty();
        Unwinder::<X86_64>::new().unwind(&registers, &region, &space(), &mut out);
        prop_assert!(out.frames.windows(2).all(|f| f[0].cfa < f[1].cfa), "{out:?}");
        prop_assert!(out.frames.iter().all(|f| f.sp <= f.cfa), "{out:?}");
    }
}
