//! AArch64 stacks in memory, and what the walk makes of them.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::address_space::{AddressSpace, Code, CodeRange};
use super::super::eh_frame_writer::{Function, aarch64_tables, program};
use super::super::in_memory::{self, Text, mapped};
use super::super::module::ModuleUnwinder;
use super::super::stack::{NativeStack, StackEnd};
use super::super::walk::Unwinder;
use super::rule::{Place, Saved};
use super::*;
use crate::target::registers::Registers;
use crate::types::Svma;

/// Addresses of a 52-bit address space, above what 48 bits can say.
const BIAS: u64 = 0x000f_aaaa_0000_0000;
const STACK: u64 = 0x000f_ffff_0000_0000;
/// What the kernel says on such a machine; and where a signature would be with 48 bits.
const PAC_52: u64 = 0x0070_0000_0000_0000;

const ENTRY: u64 = 0x1000;
/// `paciasp; stp x29, x30, [sp, #-48]!; mov x29, sp`.
const FRAMED: u64 = 0x1100;
/// `sub sp, sp, #32`, and no call.
const LEAF: u64 = 0x1200;
const NEEDS_X19: u64 = 0x1300;
/// Not in the tables.
const TRAMPOLINE: u64 = 0x1400;
/// Of 32 bytes, and behind them two words that were pushed before it was called, the return address among them.
const RESOLVER: u64 = 0x1500;
const TEXT_END: u64 = 0x2000;
const JIT: u64 = 0x000f_bbbb_0000_0000;

/// DW_CFA_AARCH64_negate_ra_state.
const SIGNED: u8 = 0x2d;

fn module() -> ModuleUnwinder {
    let function = |start, program| Function { start, len: 0x100, program, is_signal_frame: false };
    let framed = [
        program::advance(1),
        vec![SIGNED],
        program::advance(1),
        program::cfa_offset(48),
        program::saved(29, 6),
        program::saved(30, 5),
    ];
    let functions = [
        function(ENTRY, vec![0x07, 30]),
        function(FRAMED, framed.concat()),
        function(LEAF, [program::advance(1), program::cfa_offset(32)].concat()),
        function(NEEDS_X19, [program::cfa_register(19), program::saved(30, 1)].concat()),
        // DW_CFA_offset_extended_sf of -1, times -8.
        function(RESOLVER, [program::cfa_offset(32), vec![0x11, 30, 0x7f]].concat()),
    ];
    let mut text = Text::new(ENTRY..TEXT_END, 0);
    text.put(TRAMPOLINE, signal::TRAMPOLINE.code);
    in_memory::module(aarch64_tables(&functions, 0x10_0000)).with_code(Arc::new(text))
}

fn space() -> AddressSpace {
    let jit =
        CodeRange { start: Addr(JIT), end: Addr(JIT + 0x1000), code: Code::Anonymous { keeps_frame_pointers: true } };
    AddressSpace::new(vec![mapped(module(), BIAS, ENTRY..TEXT_END), jit])
}

fn registers(known: &[(u16, u64)]) -> Registers {
    let mut registers = Registers::new();
    registers.signature_mask = PAC_52;
    known.iter().for_each(|&(number, value)| registers.set(number.into(), value));
    registers
}

fn unwind(registers: &Registers, words: &[u64]) -> NativeStack {
    let stack = in_memory::stack(STACK, words);
    let mut out = NativeStack::empty();
    Unwinder::<Aarch64>::new().unwind(registers, &stack, &space(), &mut out);
    out
}

fn at(word: u64) -> u64 {
    STACK + 8 * word
}

/// A call in progress in the body of `function`.
fn call_in(function: u64) -> u64 {
    BIAS + function + 0x20
}

fn signed(address: u64) -> u64 {
    address | PAC_52 & 0x0050_0000_0000_0000
}

fn pcs_and_cfas(stack: &NativeStack) -> Vec<(u64, u64)> {
    stack.frames.iter().map(|frame| (frame.pc.0, frame.cfa.0)).collect()
}

#[test]
fn rows_become_compact_rules_whatever_they_say_of_signatures() {
    let module = module();
    let rule = |svma| module.rule::<Aarch64>(Svma(svma));
    let saved = |distance, fp, lr| UnwindRule::FromSp(Saved::new(distance, fp, lr).unwrap());
    let in_x30 = saved(0, Place::SAME, Place::SAME);
    let framed = saved(48, Place::at(-48).unwrap(), Place::at(-40).unwrap());
    assert_eq!([FRAMED, FRAMED + 4, LEAF].map(rule), [Some(in_x30); 3]);
    assert_eq!([FRAMED + 8, FRAMED + 0xff].map(rule), [Some(framed); 2]);
    assert_eq!(rule(LEAF + 4), Some(saved(32, Place::SAME, Place::SAME)));
    assert_eq!(rule(ENTRY), Some(UnwindRule::ThreadEntry));
    assert_eq!(rule(NEEDS_X19), Some(UnwindRule::Complex));
    assert_eq!(rule(TRAMPOLINE), None);
}

#[test]
fn a_leaf_its_callers_and_their_signatures() {
    let (framed, entry) = (call_in(FRAMED), call_in(ENTRY));
    // The leaf's four words; two frames of six, each beginning with its record; the entry.
    let words = [0, 0, 0, 0, at(10), signed(framed), 0, 0, 0, 0, at(99), signed(entry), 0, 0, 0, 0, 0, 0];
    let leaf = BIAS + LEAF + 8;
    let out = unwind(&registers(&[(PC, leaf), (SP, STACK), (FP, at(4)), (LR, framed)]), &words);
    assert_eq!(out.end, StackEnd::ThreadEntry);
    assert_eq!(pcs_and_cfas(&out), [(leaf, at(4)), (framed, at(10)), (framed, at(16)), (entry, at(17))]);
    // Where the record is not pushed yet, x30 has been signed already.
    let prologue = BIAS + FRAMED + 4;
    let at_start = registers(&[(PC, prologue), (SP, at(10)), (FP, at(10)), (LR, signed(framed))]);
    assert_eq!(pcs_and_cfas(&unwind(&at_start, &words)), [(prologue, at(10)), (framed, at(16)), (entry, at(17))]);
}

#[test]
fn a_thread_that_was_not_stopped_is_walked_from_its_pc_and_sp() {
    let (framed, entry) = (call_in(FRAMED), call_in(ENTRY));
    let words = [at(99), signed(entry), 0, 0, 0, 0, 0, 0];
    let out = unwind(&registers(&[(PC, framed), (SP, STACK)]), &words);
    assert_eq!((pcs_and_cfas(&out), out.end), (vec![(framed, at(6)), (entry, at(7))], StackEnd::ThreadEntry));
    // Nobody knows where a leaf returns to.
    let leaf = BIAS + LEAF + 8;
    assert_eq!(unwind(&registers(&[(PC, leaf), (SP, STACK)]), &words).end, StackEnd::UnknownRegister(Addr(leaf)));
}

#[test]
fn a_signals_frame_is_left_by_what_the_kernel_saved() {
    let (framed, entry, trampoline) = (call_in(FRAMED), call_in(ENTRY), BIAS + TRAMPOLINE);
    // A leaf without a frame of its own was interrupted: only its x30 says who called it.
    let (interrupted, frame) = (BIAS + LEAF, (312 + 33 * 8) / 8);
    let mut words = vec![0; frame as usize];
    words[39 + 29] = at(frame);
    words[39 + 30] = signed(framed);
    words[39 + 31] = at(frame);
    words[39 + 32] = interrupted;
    words.extend([at(999), signed(entry), 0, 0, 0, 0, 0, 0]);
    let expected = [(interrupted, at(frame)), (framed, at(frame + 6)), (entry, at(frame + 7))];
    for (pc, words_below) in [(trampoline, 0), (trampoline + 4, 0), (framed, 6)] {
        let mut all = vec![at(999), trampoline, 0, 0, 0, 0];
        all.truncate(words_below);
        all.extend(&words);
        let moved = |place: u64| place + 8 * words_below as u64;
        let context = words_below + 39;
        (all[context + 29], all[context + 31]) = (moved(at(frame)), moved(at(frame)));
        let out = unwind(&registers(&[(PC, pc), (SP, STACK), (FP, STACK), (LR, 7)]), &all);
        let (found, rest) = (pcs_and_cfas(&out), usize::from(words_below > 0) + 1);
        assert_eq!(out.end, StackEnd::ThreadEntry, "{out:?}");
        assert_eq!(found[rest..], expected.map(|(pc, cfa)| (pc, moved(cfa))), "{pc:#x}");
        assert_eq!(found[rest - 1].1, moved(at(frame)), "the trampoline's frame holds what the kernel saved");
        assert!(!out.frames[rest].is_return_address, "it was interrupted, not left by a call");
    }
}

#[test]
fn code_without_tables_is_not_left_by_a_record_that_may_be_its_callers() {
    let words = [at(4), signed(call_in(FRAMED)), 7, 7, at(99), signed(call_in(ENTRY)), 0, 0, 0, 0, 0, 0];
    let out = unwind(&registers(&[(PC, JIT + 4), (SP, STACK), (FP, STACK), (LR, 7)]), &words);
    assert_eq!((out.frames.len(), out.end), (1, StackEnd::NoUnwindRule(Addr(JIT + 4))));
}

#[test]
fn a_frame_ends_behind_its_return_address_where_the_cfa_lies_below_it() {
    let (framed, entry) = (call_in(FRAMED), call_in(ENTRY));
    let words = [0, 0, 0, 0, 0, framed, at(99), entry, 0, 0, 0, 0, 0, 0];
    let resolver = call_in(RESOLVER);
    let out = unwind(&registers(&[(PC, resolver), (SP, STACK), (FP, at(6))]), &words);
    assert_eq!(pcs_and_cfas(&out), [(resolver, at(6)), (framed, at(12)), (entry, at(13))]);
}

#[test]
fn a_rule_that_needs_another_register_gets_it_while_it_is_known() {
    let words = [0, call_in(ENTRY), 0, 0];
    let pc = BIAS + NEEDS_X19 + 4;
    let known = [(PC, pc), (SP, STACK), (FP, STACK), (19, at(2))];
    assert_eq!(pcs_and_cfas(&unwind(&registers(&known), &words)), [(pc, at(2)), (call_in(ENTRY), at(3))]);
    assert_eq!(unwind(&registers(&known[..3]), &words).end, StackEnd::UnknownRegister(Addr(pc)));
}

proptest! {
    /// Whatever the stack, the registers and the mask hold, the frames go up and the walk ends.
    #[test]
    fn garbage_only_ends_the_walk(
        words in prop::collection::vec(prop_oneof![
            any::<u64>(), (0u64..90).prop_map(at), (0u64..0x600).prop_map(|n| BIAS + ENTRY + n), Just(JIT + 8)
        ], 0..100),
        pc in (0u64..0x500).prop_map(|n| BIAS + ENTRY + n),
        (sp, fp, lr) in ((0u64..100).prop_map(at), (0u64..100).prop_map(at), any::<u64>()),
        mask in any::<u64>(),
    ) {
        let mut known = registers(&[(PC, pc), (SP, sp), (FP, fp), (LR, lr)]);
        known.signature_mask = mask;
        let out = unwind(&known, &words);
        prop_assert!(out.frames.windows(2).all(|pair| pair[0].cfa <= pair[1].cfa), "{:?}", out);
        prop_assert!(out.frames.iter().skip(1).all(|frame| frame.sp <= frame.cfa));
    }
}
