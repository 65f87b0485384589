//! Arbitrary location tables must not panic, and what they say of one instruction must not depend on what follows it.
#![no_main]

use fpprof::python::line_table::line_at;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, u16, Vec<u8>)| {
    let (first_line, offset, mut table) = input;
    let line = line_at(&table, first_line, u32::from(offset));
    table.push(0x80);
    if line.is_some() {
        assert_eq!(line, line_at(&table, first_line, u32::from(offset)));
    }
});
