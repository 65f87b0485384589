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
    let mut scratch = UnwindScratch::new();
    for with_header in [true, false] {
        let module = unwinder(three_functions(), with_header);
        let mut rule = |offset| module.rule::<X86_64>(Svma(TEXT + offset), &mut scratch);
        assert_eq!(rule(0), Some(UnwindRule::FromSp { offset: 8, fp: Place::SAME }));
        assert_eq!(rule(1), Place::at(-16).map(|fp| UnwindRule::FromSp { offset: 16, fp }));
        assert_eq!(rule(4), Some(UnwindRule::FrameRecord));
        assert_eq!(rule(0x44), Some(UnwindRule::FromSp { offset: 32, fp: Place::SAME }));
        assert_eq!(rule(0x80), Some(UnwindRule::Complex), "a signal frame");
        assert_eq!(rule(0x30), None, "padding");
        assert_eq!(rule(0xb0), None, "after the last function");
        assert_eq!(module.rule::<X86_64>(Svma(TEXT - 1), &mut scratch), None);
    }
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
    assert!(module.rule::<X86_64>(Svma(TEXT), &mut UnwindScratch::new()).is_some());
}

#[test]
fn no_sections_means_no_rules() {
    let module = ModuleUnwinder::new(UnwindSections::default());
    assert_eq!(module.rule::<X86_64>(Svma(TEXT), &mut UnwindScratch::new()), None);
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
        let mut scratch = UnwindScratch::new();
        for offset in (0..0x100).step_by(4) {
            module.rule::<X86_64>(Svma(TEXT + offset), &mut scratch);
            module.function_start(Svma(TEXT + offset));
        }
    }
}
