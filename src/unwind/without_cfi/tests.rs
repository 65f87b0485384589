//! One module in memory. Its tables describe three callers; `KERNEL`, which aligns its frame, and `STUB` are in none. Its
//! code ends in the middle of a page, and the mapping does not.

use std::sync::Arc;

use super::super::eh_frame_writer::{Function, program, tables};
use super::super::in_memory::{Text, mapped, module_without_header, stack};
use super::super::x86_64::X86_64;
use super::super::x86_64::blocked::FramePointerFinder;
use super::*;
use crate::target::memory::Region;
use crate::target::registers::Registers;

const BIAS: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7ffc_0000_0000;
const TEXT: u64 = 0x1080;
const CALLER: u64 = TEXT;
const CALLER_OF_STUB: u64 = TEXT + 0x40;
const CALLER_OF_OTHER: u64 = TEXT + 0x80;
const KERNEL: u64 = TEXT + 0xc0;
const OTHER: u64 = TEXT + 0x100;
const STUB: u64 = TEXT + 0x140;
const LEN: u64 = 0x151;
/// The return address of the call in each caller.
const RETURN: u64 = 5;
/// In the kernel, behind its prologue.
const INSIDE: u64 = KERNEL + 0x13;
/// Where the kernel keeps rsp, above its aligned frame.
const KEPT_SP: u64 = STACK + 0x50;
const CALLERS_BP: u64 = STACK + 0x1234;

fn space() -> AddressSpace {
    let mut text = Text::new(TEXT..TEXT + LEN, 0xcc);
    for (caller, callee) in [(CALLER, KERNEL), (CALLER_OF_STUB, STUB), (CALLER_OF_OTHER, OTHER)] {
        let distance = (callee as i64 - (caller + RETURN) as i64) as i32;
        text.put(caller, &[&[0xe8][..], &distance.to_le_bytes(), &[0xc3]].concat());
    }
    text.put(OTHER, &[0xc3]);
    // sub $0x60,%rsp; mov %rbp,8(%rsp); mov %rsp,%rbx; and $-0x1000,%rsp; xor %ebp,%ebp
    text.put(KERNEL, &[0x48, 0x83, 0xec, 0x60, 0x48, 0x89, 0x6c, 0x24, 0x08, 0x48, 0x89, 0xe3]);
    text.put(KERNEL + 0xc, &[0x48, 0x81, 0xe4, 0x00, 0xf0, 0xff, 0xff, 0x31, 0xed]);
    // mov %rbx,%rsp; mov 8(%rsp),%rbp; add $0x60,%rsp; ret
    text.put(KERNEL + 0x15, &[0x48, 0x89, 0xdc, 0x48, 0x8b, 0x6c, 0x24, 0x08, 0x48, 0x83, 0xc4, 0x60, 0xc3]);
    text.put(STUB, &[0xff, 0x25, 0x00, 0x10, 0x00, 0x00]); // jmp *0x1000(%rip)
    text.put(STUB + 6, &[0x68, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0]);
    let described = |start, len| Function { start, len, program: program::frame_pointer(), is_signal_frame: false };
    let callers = [CALLER, CALLER_OF_STUB, CALLER_OF_OTHER].map(|start| described(start, 0x40));
    let tables = tables(&[&callers[..], &[described(OTHER, 0x10)]].concat(), 0x10_0000);
    let module = module_without_header(tables).with_code(Arc::new(text));
    AddressSpace::new(vec![mapped(module, BIAS, 0x1000..0x2000)])
}

/// Leaves the innermost frame at `pc`, with a return address at a slot; returns it and the frame to go on from.
fn leave(pc: u64, kept_sp: Option<u64>, word: (u64, u64)) -> Option<(NativeFrame, FramePosition)> {
    let (mut walked, from) = walk(pc, kept_sp, word);
    Some((walked.frames.pop()?, from?))
}

/// The same, and returns what was walked in any case.
fn walk(pc: u64, kept_sp: Option<u64>, (slot, return_address): (u64, u64)) -> (NativeStack, Option<FramePosition>) {
    let mut stack = Region { start: Addr(STACK), bytes: vec![0; 0x200] };
    let mut put = |at: u64, word: u64| {
        let at = (at - STACK) as usize;
        stack.bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    };
    put(KEPT_SP + 8, CALLERS_BP);
    put(slot, return_address);
    let mut registers = Registers::new();
    if let Some(kept_sp) = kept_sp {
        registers.set(3, kept_sp);
    }
    let frame = NativeFrame { pc: Addr(pc), is_return_address: false, sp: Addr(STACK), cfa: Addr(STACK + 8) };
    let mut failed = NativeStack { frames: vec![frame], end: StackEnd::NoUnwindRule(Addr(pc)) };
    let captured = UnwindInput { registers: &registers, stack: &stack, space: &space() };
    let bp = Some(Addr(0x77));
    let from = ReturnPaths::default().leave::<X86_64>(&mut failed, bp, captured, &mut FramePointerFinder::default());
    (failed, from)
}

const SLOT: u64 = KEPT_SP + 0x60;

#[test]
fn an_aligned_frame_is_left_by_the_captured_register() {
    let (frame, from) = leave(BIAS + INSIDE, Some(KEPT_SP), (SLOT, BIAS + CALLER + RETURN)).expect("it can be left");
    assert_eq!((frame.pc.0, frame.sp.0, frame.cfa.0), (BIAS + INSIDE, STACK, SLOT + 8));
    assert_eq!((from.pc.0, from.sp.0), (BIAS + CALLER + RETURN, SLOT + 8));
    assert_eq!((from.fp, from.is_return_address), (Some(Addr(CALLERS_BP)), true));
}

#[test]
fn the_call_must_lead_to_the_code_that_is_left() {
    let behind = |caller: u64| leave(BIAS + INSIDE, Some(KEPT_SP), (SLOT, BIAS + caller + RETURN)).is_some();
    assert!(behind(CALLER_OF_STUB), "through a stub without tables");
    assert!(!behind(CALLER_OF_OTHER), "it calls a function that returns");
    assert!(!behind(CALLER - 1), "no call ends there");
}

#[test]
fn code_that_has_been_mapped_since_is_asked_for() {
    let unmapped = Addr(BIAS - 0x1000);
    let (walked, from) = walk(BIAS + INSIDE, Some(KEPT_SP), (SLOT, unmapped.0));
    assert_eq!((walked.end, from), (StackEnd::UnmappedCode(unmapped), None));
}

#[test]
fn a_register_that_is_not_known_or_points_below_leads_nowhere() {
    let at = |kept_sp| leave(BIAS + INSIDE, kept_sp, (SLOT, BIAS + CALLER + RETURN)).is_some();
    assert!(at(Some(KEPT_SP)));
    for wrong in [None, Some(STACK - 0x100), Some(STACK + 0x1000), Some(0), Some(u64::MAX)] {
        assert!(!at(wrong), "{wrong:x?}");
    }
}

#[test]
fn a_stub_at_the_end_of_the_file_s_code_is_left() {
    let (_, from) = leave(BIAS + STUB, None, (STACK, BIAS + CALLER_OF_STUB + RETURN)).expect("it can be left");
    assert_eq!((from.sp.0, from.fp), (STACK + 8, Some(Addr(0x77))), "rbp is still the caller's");
}

/// A caller with tables; a function that it calls, and the one behind that, without.
fn disagreeing_ways() -> AddressSpace {
    const FUNCTION: u64 = TEXT + 0x40;
    let mut text = Text::new(TEXT..TEXT + 0x100, 0xcc);
    text.put(CALLER, &[0xe8, 0x3b, 0, 0, 0, 0xc3]); // call FUNCTION; ret
    // push %rbx; je over the return; pop %rbx; ret; call *%rax, which does not return, and falls into the next function
    text.put(FUNCTION, &[0x53, 0x74, 2, 0x5b, 0xc3, 0xff, 0xd0]);
    text.put(FUNCTION + 7, &[0x41, 0x5c, 0x5d, 0xc3]); // pop %r12; pop %rbp; ret
    let caller = Function { start: CALLER, len: 0x10, program: program::frame_pointer(), is_signal_frame: false };
    let module = module_without_header(tables(&[caller], 0x10_0000)).with_code(Arc::new(text));
    AddressSpace::new(vec![mapped(module, BIAS, 0x1000..0x2000)])
}

/// Leaves the function behind its `push`, with these words on the stack from rsp on.
fn leave_disagreeing(words: &[u64]) -> Option<FramePosition> {
    let stack = stack(STACK, words);
    let mut registers = Registers::new();
    registers.set(7, STACK);
    let pc = Addr(BIAS + TEXT + 0x41);
    let frame = NativeFrame { pc, is_return_address: false, sp: Addr(STACK), cfa: Addr(STACK + 8) };
    let mut failed = NativeStack { frames: vec![frame], end: StackEnd::NoUnwindRule(pc) };
    let captured = UnwindInput { registers: &registers, stack: &stack, space: &disagreeing_ways() };
    ReturnPaths::default().leave::<X86_64>(&mut failed, None, captured, &mut FramePointerFinder::default())
}

#[test]
fn where_ways_disagree_the_call_decides() {
    let caller = BIAS + CALLER + RETURN;
    let sp = |words: &[u64]| leave_disagreeing(words).map(|from| from.sp.0 - STACK);
    assert_eq!(sp(&[0, caller, 0, 0]), Some(16));
    // The other way leads to a word that a call has left there: with this stack pointer that call does not come here.
    assert_eq!(sp(&[0, caller, caller, 0]), Some(16));
    assert_eq!(sp(&[0, 0x1234, caller, 0]), None, "what the call contradicts is not taken, even alone");
    assert_eq!(sp(&[0, 0, 0, 0]), None);
    assert_eq!(sp(&[0, 0x1234, 0, 0]), None, "a zero is no thread's entry");
}

/// A caller with tables, which calls by a pointer; a function whose last act is a jump to one that is too far away to be at hand, and
/// that one: `end` is what it ends with.
fn far_jump(end: &[u8]) -> AddressSpace {
    const FUNCTION: u64 = TEXT + 0x40;
    const FAR_AWAY: u64 = FUNCTION + 2 * FAR;
    let mut text = Text::new(TEXT..FAR_AWAY + 0x40, 0xcc);
    text.put(CALLER, &[0xff, 0xd0, 0xc3]); // call *%rax; ret
    text.put(FUNCTION, &[0x53, 0x90, 0x5b]); // push %rbx; nop; pop %rbx
    let distance = (FAR_AWAY - (FUNCTION + 8)) as u32;
    text.put(FUNCTION + 3, &[&[0xe9][..], &distance.to_le_bytes()].concat()); // jmp FAR_AWAY
    text.put(FAR_AWAY, &[&[0x55, 0x90, 0x5d][..], end].concat()); // push %rbp; nop; pop %rbp
    let caller = Function { start: CALLER, len: 0x10, program: program::frame_pointer(), is_signal_frame: false };
    let module = module_without_header(tables(&[caller], 0x10_0000)).with_code(Arc::new(text));
    AddressSpace::new(vec![mapped(module, BIAS, 0x1000..0x3_0000)])
}

/// Leaves that function, whose first instructions so many bytes long it has come through, with these words on the stack.
fn leave_for_far_away(into: u64, words: &[u64], end: &[u8]) -> Option<u64> {
    let (stack, mut registers) = (stack(STACK, words), Registers::new());
    registers.set(7, STACK);
    let pc = Addr(BIAS + TEXT + 0x40 + into);
    let frame = NativeFrame { pc, is_return_address: false, sp: Addr(STACK), cfa: Addr(STACK + 8) };
    let mut failed = NativeStack { frames: vec![frame], end: StackEnd::NoUnwindRule(pc) };
    let captured = UnwindInput { registers: &registers, stack: &stack, space: &far_jump(end) };
    let from =
        ReturnPaths::default().leave::<X86_64>(&mut failed, None, captured, &mut FramePointerFinder::default())?;
    assert_eq!(from.pc.0, BIAS + CALLER + 2);
    Some(from.sp.0 - STACK)
}

#[test]
fn a_function_that_ends_with_a_far_jump_returns_as_what_is_there() {
    const RETURNS: &[u8] = &[0xc3];
    let behind = BIAS + CALLER + 2;
    for (into, words, sp) in
        [(0, [behind, 0, 0], 8), (1, [0, behind, 0], 16), (2, [0, behind, 0], 16), (3, [behind, 0, 0], 8)]
    {
        assert_eq!(leave_for_far_away(into, &words, RETURNS), Some(sp), "{into}");
    }
    assert_eq!(leave_for_far_away(1, &[behind, 0x1234, 0], RETURNS), None, "what is on top is no return address there");
    assert_eq!(leave_for_far_away(0, &[behind, 0, 0], &[0x5b, 0xc3]), None, "it returns to another word");
    assert_eq!(leave_for_far_away(0, &[behind, 0, 0], &[0x0f, 0x0b]), None, "it does not return");
}
