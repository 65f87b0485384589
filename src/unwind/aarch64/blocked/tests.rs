//! One module in memory: `READ` calls `CANCEL`, which has a record and calls `LEAF`, which has no frame. `STUB` jumps to
//! where `SLOT` says.

use std::sync::Arc;

use super::super::registers::{PC, SP};
use super::*;
use crate::target::registers::Registers;
use crate::unwind::code_bytes::CodeBytes;
use crate::unwind::eh_frame_writer::{Function, aarch64_tables, program};
use crate::unwind::in_memory::{Text, mapped, module_without_header, stack};
use crate::unwind::stack::{NativeFrame, StackEnd};

const BIAS: u64 = 0xffff_8000_0000;
const STACK: u64 = 0xffff_d000_0000;
const TEXT: u64 = 0x1000;
const READ: u64 = TEXT;
const CANCEL: u64 = TEXT + 0x100;
const LEAF: u64 = TEXT + 0x200;
const OTHER: u64 = TEXT + 0x300;
const STUB: u64 = TEXT + 0x400;
const TEXT_END: u64 = TEXT + 0x500;
const SLOT: u64 = BIAS + 0x1_0000;
/// Of each function's calls.
const CALL: u64 = 0x10;
const SIGNATURE: u64 = 0x002a_0000_0000_0000;

#[derive(Debug)]
struct Slot(u64);

impl CodeBytes for Slot {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        (svma.0 == SLOT && len == 8).then(|| self.0.to_le_bytes().to_vec())
    }
}

const BL: u32 = 0x9400_0000;
const B: u32 = 0x1400_0000;

/// The calls are from, to.
fn space(calls: &[(u64, u64)], record: u8) -> AddressSpace {
    let branches: Vec<_> = calls.iter().map(|(from, to)| (*from, BL, *to)).collect();
    space_with(&branches, record)
}

fn space_with(branches: &[(u64, u32, u64)], record: u8) -> AddressSpace {
    let mut text = Text::new(TEXT..TEXT_END, 0);
    for (from, kind, to) in branches {
        let words = (*to as i64 - *from as i64) / 4;
        let branch = kind | (words as u32 & 0x03ff_ffff);
        text.put(*from, &branch.to_le_bytes());
    }
    // adrp x16, 15 pages; ldr x17, [x16]; add x16, x16, 0; br x17
    for (word, place) in [0xf000_0070_u32, 0xf940_0211, 0x9100_0210, 0xd61f_0220].iter().zip(0..) {
        text.put(STUB + 4 * place, &word.to_le_bytes());
    }
    let function = |start, program| Function { start, len: 0x100, program, is_signal_frame: false };
    let framed = [program::cfa_offset(64), program::saved(29, 8 - record), program::saved(30, 7 - record)].concat();
    let functions =
        [function(READ, framed.clone()), function(CANCEL, framed), function(LEAF, vec![]), function(OTHER, vec![])];
    let tables = aarch64_tables(&functions, 0x10_0000);
    let module = module_without_header(tables).with_code(Arc::new(text));
    AddressSpace::new(vec![mapped(module, BIAS, TEXT..TEXT_END)]).with_anonymous_code(Arc::new(Slot(BIAS + OTHER)))
}

const USUAL: &[(u64, u64)] = &[(READ + CALL, CANCEL), (CANCEL + CALL, LEAF)];

/// Where a thread that waits in the leaf goes on, with this on its stack.
fn recover(space: &AddressSpace, words: &[u64]) -> Option<FramePosition> {
    let pc = BIAS + LEAF + 8;
    let mut registers = Registers::new();
    registers.set(PC.into(), pc);
    registers.set(SP.into(), STACK);
    registers.signature_mask = 0x007f_0000_0000_0000;
    let stack = stack(STACK, words);
    let frame = NativeFrame { pc: Addr(pc), is_return_address: false, sp: Addr(STACK), cfa: Addr(STACK + 8) };
    let mut failed = NativeStack { frames: vec![frame], end: StackEnd::UnknownRegister(Addr(pc)) };
    let captured = UnwindInput { registers: &registers, stack: &stack, space };
    let found = LeafCallers::default().recover(&mut failed, captured);
    assert!(found.is_none() || failed.frames[0].cfa == Addr(STACK), "the leaf has no frame");
    found
}

fn in_read() -> u64 {
    (BIAS + READ + CALL + 4) | SIGNATURE
}

#[test]
fn the_caller_is_the_function_whose_record_is_on_top() {
    let expected =
        FramePosition { pc: Addr(BIAS + CANCEL + CALL + 4), is_return_address: true, sp: Addr(STACK), fp: None };
    assert_eq!(recover(&space(USUAL, 0), &[STACK + 0x40, in_read(), 0, 0]), Some(expected));
    // It passes two arguments on the stack: its record is above them.
    assert_eq!(recover(&space(USUAL, 2), &[7, 7, STACK + 0x40, in_read()]), Some(expected));
}

#[test]
fn the_caller_can_be_called_through_the_linkage_table_and_jumped_to() {
    let branches = [(READ + CALL, BL, STUB), (OTHER + CALL, B, CANCEL), (CANCEL + CALL, BL, LEAF)];
    let record = [STACK + 0x40, in_read(), 0, 0];
    let found = recover(&space_with(&branches, 0), &record).expect("it is found");
    assert_eq!(found.pc, Addr(BIAS + CANCEL + CALL + 4));
    let with = |branches: &[(u64, u32, u64)]| recover(&space_with(branches, 0), &record).is_some();
    assert!(!with(&[branches[0], (OTHER + CALL, B, OTHER), branches[2]]), "what the slot says does not lead there");
    assert!(!with(&[branches[0], branches[1], (CANCEL + CALL, B, LEAF)]), "a jump is no call");
    let twice = (OTHER + 2 * CALL, BL, LEAF);
    assert!(with(&[branches[0], branches[1], branches[2], twice]), "the tables put no record there");
}

#[test]
fn everything_must_agree() {
    let record = [STACK + 0x40, in_read(), 0, 0];
    let with = |calls: &[(u64, u64)]| recover(&space(calls, 0), &record).is_some();
    assert!(with(USUAL));
    assert!(!with(&[(READ + CALL, OTHER), (CANCEL + CALL, LEAF)]), "another function was called");
    assert!(!with(&[(READ + CALL, CANCEL), (CANCEL + CALL, OTHER)]), "the caller does not call the leaf");
    assert!(!with(&[(READ + CALL, CANCEL + 4), (CANCEL + CALL, LEAF)]), "a call into the middle");
    assert!(!with(&[USUAL[0], USUAL[1], (CANCEL + 2 * CALL, LEAF)]), "two calls: which one is not known");
    assert!(recover(&space(USUAL, 2), &record).is_none(), "the tables put the record elsewhere");
    assert!(recover(&space(USUAL, 0), &[STACK + 0x40, BIAS + READ, 0, 0]).is_none(), "no call ends there");
    assert!(recover(&space(USUAL, 0), &[]).is_none(), "nothing is on the stack");
}
