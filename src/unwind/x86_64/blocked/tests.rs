//! One module in memory: `WAITS` has a frame record and 0x28 bytes, `CALLER` calls it, `OTHER` calls `STUB`.

use std::sync::Arc;

use super::*;
use crate::unwind::eh_frame_writer::{Function, program, tables};
use crate::unwind::in_memory::{Text, mapped, module_without_header, stack};

const BIAS: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7ffc_0000_0000;
const TEXT: u64 = 0x1000;
const WAITS: u64 = TEXT;
const CALLER: u64 = TEXT + 0x100;
const OTHER: u64 = TEXT + 0x200;
const STUB: u64 = TEXT + 0x300;
const NOWHERE: u64 = TEXT + 0x400;
const LEN: u64 = 0x500;
/// push %rbp; mov %rsp,%rbp; sub $0x28,%rsp
const PROLOGUE: [u8; 8] = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x28];
/// The return address of the first call behind the prologue.
const RETURN: u64 = 13;

fn space() -> AddressSpace {
    let mut text = Text::new(TEXT..TEXT + LEN, 0xcc);
    let mut function = |start: u64, callee: u64| {
        let distance = (callee as i64 - (start + RETURN) as i64) as i32;
        text.put(start, &[&PROLOGUE[..], &[0xe8], &distance.to_le_bytes(), &[0xc9, 0xc3]].concat());
    };
    function(WAITS, NOWHERE);
    function(CALLER, WAITS);
    function(OTHER, STUB);
    function(NOWHERE, NOWHERE);
    text.put(STUB, &[0xe9, 0xfb, 0xfc, 0xff, 0xff]); // jmp WAITS
    let framed = |start| Function { start, len: 0x40, program: program::frame_pointer(), is_signal_frame: false };
    let tables = tables(&[WAITS, CALLER, OTHER, STUB, NOWHERE].map(framed), 0x10_0000);
    let module = module_without_header(tables).with_code(Arc::new(text));
    AddressSpace::new(vec![mapped(module, BIAS, TEXT..TEXT + LEN)])
}

/// What is found in a frame that waits in its call, with this frame record.
fn find(pc: u64, record: [u64; 2]) -> Option<u64> {
    let words = [&[0; 5][..], &record, &[0; 8]].concat();
    let frame = NativeFrame { pc: Addr(pc), is_return_address: true, sp: Addr(STACK), cfa: Addr(STACK + 8) };
    FramePointerFinder::default().find(&frame, &stack(STACK, &words), &space()).map(|bp| bp.0)
}

#[test]
fn a_frame_is_as_large_as_its_prologue_makes_it() {
    let above = STACK + 0x60;
    assert_eq!(find(BIAS + WAITS + RETURN, [above, BIAS + CALLER + RETURN]), Some(STACK + 0x28));
}

#[test]
fn the_caller_must_have_called_this_function() {
    let above = STACK + 0x60;
    let pc = BIAS + WAITS + RETURN;
    assert_eq!(find(pc, [above, BIAS + OTHER + RETURN]), Some(STACK + 0x28), "through a stub");
    assert_eq!(find(pc, [above, BIAS + NOWHERE + RETURN]), None, "it calls itself");
    assert_eq!(find(pc, [above, BIAS + CALLER + RETURN - 1]), None, "no call ends there");
    assert_eq!(find(pc, [above, 0x1234]), None, "no code");
}

#[test]
fn the_next_record_must_be_above() {
    let pc = BIAS + WAITS + RETURN;
    for below in [0, STACK, STACK + 0x28, STACK + 0x61] {
        assert_eq!(find(pc, [below, BIAS + CALLER + RETURN]), None, "{below:#x}");
    }
}
