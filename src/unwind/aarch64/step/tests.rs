//! Steps on stacks in memory.

use super::*;
use crate::target::memory::Region;
use crate::types::Addr;
use crate::unwind::aarch64::rule::Saved;
use proptest::prelude::*;

const START: u64 = 0x0000_ffff_f000_0000;
const PAC: u64 = 0x007f_0000_0000_0000;

fn region(words: &[u64]) -> Region {
    Region { start: Addr(START), bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect() }
}

fn saved(distance: i64, fp: Option<i64>, lr: Option<i64>) -> Saved {
    let place = |offset: Option<i64>| offset.map_or(Some(Place::SAME), Place::at).unwrap();
    Saved::new(distance, place(fp), place(lr)).unwrap()
}

fn at(word: u64) -> u64 {
    START + word * 8
}

#[test]
fn a_leaf_returns_by_the_link_register_with_or_without_a_frame() {
    let stack = region(&[]);
    let cursor = Cursor { pc: 0x1000, sp: START, fp: Some(at(9)), lr: Some(0x2004) };
    for distance in [0, 32] {
        let (cfa, caller) =
            step(&UnwindRule::FromSp(saved(distance, None, None)), cursor, StackBytes::new(&stack)).unwrap();
        let expected = Cursor { pc: 0x2004, sp: START + distance.cast_unsigned(), fp: Some(at(9)), lr: None };
        assert_eq!((cfa, caller), (expected.sp, expected));
    }
    // Behind a call x30 holds something else: nothing is invented.
    let called = Cursor { lr: None, ..cursor };
    let rule = UnwindRule::FromSp(saved(0, None, None));
    assert_eq!(step(&rule, called, StackBytes::new(&stack)), Err(StepError::UnknownRegister));
}

#[test]
fn a_frame_record_gives_the_caller_and_the_signature_goes() {
    let signed = 0x0000_aaaa_0000_2004 | 0x0055_0000_0000_0000;
    let stack = region(&[at(8), signed, 0, 0]);
    let bytes = StackBytes::new(&stack).signed(PAC);
    let expected = Cursor { pc: 0x0000_aaaa_0000_2004, sp: at(4), fp: Some(at(8)), lr: None };
    let cursor = Cursor { pc: 0x1000, sp: START, fp: Some(START), lr: Some(7) };
    for rule in [UnwindRule::FromSp, UnwindRule::FromFp] {
        let rule = rule(saved(32, Some(-32), Some(-24)));
        assert_eq!(step(&rule, cursor, bytes), Ok((at(4), expected)));
        assert_eq!(quick_step(rule, START, START, bytes), Some((at(4), expected.pc, at(8))));
    }
    let unsigned = StackBytes::new(&stack);
    let rule = UnwindRule::FromSp(saved(32, Some(-32), Some(-24)));
    assert_eq!(step(&rule, cursor, unsigned).map(|(_, caller)| caller.pc), Ok(signed), "only the mask takes it off");
}

#[test]
fn what_has_no_compact_form_is_refused() {
    assert!(Saved::new(-8, Place::SAME, Place::SAME).is_none() && Saved::new(12, Place::SAME, Place::SAME).is_none());
    assert!(Saved::new(1 << 19, Place::SAME, Place::SAME).is_none());
    assert!(
        Place::at(0).is_none() && Place::at(8).is_none() && Place::at(-12).is_none() && Place::at(i64::MIN).is_none()
    );
}

fn rule() -> impl Strategy<Value = UnwindRule> {
    let place = prop_oneof![
        Just(Place::SAME),
        Just(Place::UNDEFINED),
        (-10i64..0).prop_map(|words| Place::at(words * 8).unwrap_or(Place::SAME)),
    ];
    let saved = (0i64..12, place.clone(), place)
        .prop_map(|(words, fp, lr)| Saved::new(words * 8, fp, lr))
        .prop_filter_map("it fits", |saved| saved);
    prop_oneof![
        saved.clone().prop_map(UnwindRule::FromSp),
        saved.prop_map(UnwindRule::FromFp),
        Just(UnwindRule::ThreadEntry),
        Just(UnwindRule::Complex),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What the quick step says, the full one says too; and it says something wherever a call is in progress.
    #[test]
    fn the_quick_step_is_the_step(
        rule in rule(),
        sp in prop_oneof![START - 16..START + 160, any::<u64>()],
        fp in prop_oneof![START - 16..START + 160, any::<u64>()],
        bytes in prop::collection::vec(any::<u8>(), 128),
        mask in prop_oneof![Just(0), Just(PAC)],
    ) {
        let region = Region { start: Addr(START), bytes };
        let stack = StackBytes::new(&region).signed(mask);
        let full = step(&rule, Cursor { pc: 0x1000, sp, fp: Some(fp), lr: None }, stack).ok();
        let full = full.and_then(|(cfa, caller)| Some((cfa, caller.pc, caller.fp?)));
        prop_assert_eq!(quick_step(rule, sp, fp, stack), full);
    }
}
