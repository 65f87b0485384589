//! Tables that are right, and tables that are not.

use proptest::prelude::*;

use super::super::eh_frame_writer::{Function, Tables, program, tables};
use super::super::in_memory::{module, module_without_header};
use super::super::x86_64::X86_64;
use super::super::x86_64::rule::{Place, UnwindRule};
use super::*;

const TEXT: u64 = 0x1000;

fn three_functions() -> Tables {
    let function = |n: u64, program| Function { start: TEXT + n * 0x40, len: 0x30, program, is_signal_frame: n == 2 };
    let expression = program::expression(6, &[0x77, 8, 0x06]);
    tables(
        &[
            function(0, [program::frame_pointer(), program::early_returns()].concat()),
            function(1, program::no_frame_pointer(32)),
            function(2, [program::cfa_expression(&[0x77, 8, 0x06]), expression].concat()),
        ],
        0x2000,
    )
}

fn unwinder(tables: Tables, with_header: bool) -> ModuleUnwinder {
    if with_header { module(tables) } else { module_without_header(tables) }
}

#[test]
fn answers_the_same_with_and_without_the_header() {
    for with_header in [true, false] {
        let module = unwinder(three_functions(), with_header);
        let rule = |offset| module.rule::<X86_64>(Svma(TEXT + offset));
        assert_eq!(rule(0), Some(UnwindRule::FromSp { offset: 8, fp: Place::SAME }));
        assert_eq!(rule(1), Place::at(-16).map(|fp| UnwindRule::FromSp { offset: 16, fp }));
        assert_eq!(rule(4), Some(UnwindRule::FrameRecord));
        assert_eq!(rule(0x44), Some(UnwindRule::FromSp { offset: 32, fp: Place::SAME }));
        assert_eq!(rule(0x80), Some(UnwindRule::Complex), "a signal frame");
        assert_eq!(rule(0x30), None, "padding");
        assert_eq!(rule(0xb0), None, "after the last function");
        assert_eq!(module.rule::<X86_64>(Svma(TEXT - 1)), None);
    }
}

#[test]
fn a_stack_begins_with_a_function_that_is_known_to_begin_one() {
    let entries = vec![(Svma(TEXT + 0x40), Svma(TEXT + 0x70))];
    let module = unwinder(three_functions(), true).with_entries(entries);
    let rule = |offset| module.rule::<X86_64>(Svma(TEXT + offset));
    assert_eq!([rule(0x40), rule(0x44), rule(0x6f)], [Some(UnwindRule::ThreadEntry); 3]);
    assert_eq!((rule(4), rule(0x70)), (Some(UnwindRule::FrameRecord), None));
}

#[test]
fn tells_the_extent_of_a_function() {
    let module = unwinder(three_functions(), true);
    assert_eq!(module.function_start(Svma(TEXT + 0x55)), Some((Svma(TEXT + 0x40), Svma(TEXT + 0x70))));
    assert_eq!(module.function_start(Svma(TEXT + 0x75)), None);
}

#[test]
fn a_header_that_promises_more_rows_than_it_has_is_not_used() {
    let mut tables = three_functions();
    tables.eh_frame_hdr[8] = 200;
    let module = unwinder(tables, true);
    assert!(module.rule::<X86_64>(Svma(TEXT)).is_some());
}

#[test]
fn no_sections_means_no_rules() {
    let module = ModuleUnwinder::new(UnwindSections::default());
    assert_eq!(module.rule::<X86_64>(Svma(TEXT)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Bytes changed anywhere in either section: an answer or none, and no panic.
    #[test]
    fn damaged_tables_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..8),
        with_header in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut tables = three_functions();
        for (at, byte, in_header) in changes {
            let section = if in_header { &mut tables.eh_frame_hdr } else { &mut tables.eh_frame };
            let at = at.index(section.len());
            section[at] = byte;
        }
        if with_header {
            tables.eh_frame.truncate(cut.index(tables.eh_frame.len()).max(tables.eh_frame.len() / 2));
        }
        let module = unwinder(tables, with_header);
        for offset in (0..0x100).step_by(4) {
            module.rule::<X86_64>(Svma(TEXT + offset));
            module.function_start(Svma(TEXT + offset));
        }
    }
}

/// Instructions from the first function on.
#[derive(Debug)]
struct Code(Vec<u8>);

impl CodeBytes for Code {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        let start = usize::try_from(svma.0.checked_sub(TEXT)?).ok()?;
        Some(self.0.get(start..start + usize::try_from(len).ok()?)?.to_vec())
    }
}

#[test]
fn a_function_has_the_parts_that_it_branches_into_the_middle_of() {
    let parts = |code: &[u8]| {
        let mut bytes = vec![0x90; 0x100];
        bytes[..code.len()].copy_from_slice(code);
        unwinder(three_functions(), true).with_code(Arc::new(Code(bytes))).function_parts::<X86_64>(Svma(TEXT + 4))
    };
    let part = |n: u64| (Svma(TEXT + n * 0x40), Svma(TEXT + n * 0x40 + 0x30));
    // jmp to the start of the second function, call of its middle, jne within itself.
    assert_eq!(parts(&[0xe9, 0x3b, 0, 0, 0, 0xe8, 0x3b, 0, 0, 0, 0x75, 2]), [part(0)]);
    // jne into the middle of the third one, twice.
    assert_eq!(parts(&[0x0f, 0x85, 0x80, 0, 0, 0, 0x0f, 0x85, 0x80, 0, 0, 0]), [part(0), part(2)]);
}
