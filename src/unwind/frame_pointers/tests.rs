//! Which code is marked, one shape of function at a time.

use super::super::eh_frame_writer::{Function, program, tables};
use super::super::sections::{Section, UnwindSections};
use super::*;

const TEXT: u64 = 0x1000;

/// A module of ten functions with frame records, 64 bytes each, and after them one with `program`.
fn map_with(program: Vec<u8>) -> Option<FramePointerMap> {
    let function = |n: u64, program| Function { start: TEXT + n * 64, len: 64, program, is_signal_frame: false };
    let mut functions: Vec<Function> = (0..10).map(|n| function(n, program::frame_pointer())).collect();
    functions.push(function(10, program));
    map_of(&functions)
}

fn map_of(functions: &[Function]) -> Option<FramePointerMap> {
    let tables = tables(functions, 0x10_0000);
    FramePointerMap::new(&ModuleUnwinder::new(UnwindSections {
        eh_frame_hdr: Some(Section { svma: Svma(tables.eh_frame_hdr_svma), bytes: tables.eh_frame_hdr }),
        eh_frame: Some(Section { svma: Svma(tables.eh_frame_svma), bytes: tables.eh_frame }),
    }))
}

fn last_is_clear(program: Vec<u8>) -> bool {
    map_with(program).expect("most functions keep frame pointers").has_record(Svma(TEXT + 10 * 64 + 20))
}

#[test]
fn the_usual_prologue_is_clear() {
    assert!(last_is_clear(program::frame_pointer()));
}

#[test]
fn a_long_row_without_a_record_is_marked_even_where_the_stack_is_not_aligned() {
    // CFA = rsp + 8 all along: the ABI allows no call, compilers make some all the same.
    assert!(!last_is_clear(Vec::new()));
}

#[test]
fn a_call_without_a_record_is_marked() {
    assert!(!last_is_clear(program::no_frame_pointer(32)));
    assert!(!last_is_clear(program::thread_entry()));
    assert!(!last_is_clear(program::cfa_expression(&[0x77, 8])));
}

#[test]
fn more_than_the_move_between_push_and_record_is_marked() {
    let late = [
        program::advance(1),
        program::cfa_offset(16),
        program::saved(6, 2),
        program::advance(8),
        program::cfa_register(6),
    ];
    assert!(!last_is_clear(late.concat()), "eight bytes can hold a call");
    let no_record = [program::advance(1), program::cfa_offset(16), program::saved(6, 2), program::advance(3)];
    assert!(!last_is_clear([no_record.concat(), program::cfa_offset(24)].concat()), "no record follows");
}

#[test]
fn what_no_entry_describes_is_marked() {
    let function = |start| Function { start, len: 0x40, program: program::frame_pointer(), is_signal_frame: false };
    let map = map_of(&[function(TEXT), function(TEXT + 0x100)]).expect("a map");
    assert!(map.has_record(Svma(TEXT)) && map.has_record(Svma(TEXT + 0x100)));
    assert!(!map.has_record(Svma(TEXT + 0x40)) && !map.has_record(Svma(TEXT + 0xc0)));
    assert!(!map.has_record(Svma(TEXT - 1)) && !map.has_record(Svma(TEXT + 0x140)));
}

#[test]
fn a_module_without_frame_pointers_gets_no_map() {
    let functions = (0..10).map(|n| Function {
        start: TEXT + n * 64,
        len: 64,
        program: program::no_frame_pointer(32),
        is_signal_frame: false,
    });
    assert_eq!(map_of(&functions.collect::<Vec<_>>()), None);
}

#[test]
fn entries_that_overlap_prove_nothing() {
    let function = |start| Function { start, len: 0x80, program: program::frame_pointer(), is_signal_frame: false };
    assert_eq!(map_of(&[function(TEXT), function(TEXT + 0x40)]), None);
}
