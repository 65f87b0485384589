//! Instructions given as bytes, and what they leave in the registers.

use iced_x86::{Decoder, DecoderOptions};

use super::*;
use crate::unwind::symbolic::{MAX_WRITTEN, Sum};

fn sum(register: u16, offset: i64) -> Value {
    Value::Sum(Sum { register, offset })
}

fn word(register: u16, offset: i64) -> Value {
    Value::WordAt(Sum { register, offset })
}

fn behind(code: &[u8]) -> State {
    let mut state = State::beginning(FOLLOWED, SP);
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
        .into_iter()
        .for_each(|instruction| apply(&mut state, &instruction));
    state
}

#[test]
fn saved_registers_come_back() {
    // push %rbp; mov %rbx,-0x10(%rsp); xor %ebp,%ebp; xor %ebx,%ebx
    let save = [0x55, 0x48, 0x89, 0x5c, 0x24, 0xf0, 0x31, 0xed, 0x31, 0xdb];
    let state = behind(&save);
    assert_eq!((state.get(FP), state.get(BX)), (Value::Unknown, Value::Unknown));
    assert_eq!(state.get(SP), sum(SP, -8));
    // mov -0x10(%rsp),%rbx; pop %rbp
    let state = behind(&[&save[..], &[0x48, 0x8b, 0x5c, 0x24, 0xf0, 0x5d]].concat());
    assert_eq!((state.get(FP), state.get(BX), state.get(SP)), (sum(FP, 0), sum(BX, 0), sum(SP, 0)));
}

#[test]
fn a_word_that_was_not_written_is_the_one_that_is_there() {
    // mov 0x18(%rsp),%r12; mov 8(%rbp),%r13
    let state = behind(&[0x4c, 0x8b, 0x64, 0x24, 0x18, 0x4c, 0x8b, 0x6d, 0x08]);
    assert_eq!((state.get(12), state.get(13)), (word(SP, 0x18), word(FP, 8)));
    // mov %rax,0x18(%rsp); mov 0x18(%rsp),%r12
    let state = behind(&[0x48, 0x89, 0x44, 0x24, 0x18, 0x4c, 0x8b, 0x64, 0x24, 0x18]);
    assert_eq!(state.get(12), Value::Unknown);
    // mov 0x18(%rsp,%rax),%r12
    assert_eq!(behind(&[0x4c, 0x8b, 0x64, 0x04, 0x18]).get(12), Value::Unknown);
}

#[test]
fn addresses_are_added_up() {
    // lea 0x10(%rsp),%r14; sub $0x100,%rsp; add $8,%r14; mov %r14,%r15
    let state = behind(&[
        0x4c, 0x8d, 0x74, 0x24, 0x10, 0x48, 0x81, 0xec, 0x00, 0x01, 0x00, 0x00, 0x49, 0x83, 0xc6, 0x08, 0x4d, 0x89,
        0xf7,
    ]);
    assert_eq!((state.get(14), state.get(15), state.get(SP)), (sum(SP, 0x18), sum(SP, 0x18), sum(SP, -0x100)));
    // mov %r14d,%r15d: half of a register is none.
    assert_eq!(behind(&[0x45, 0x89, 0xf7]).get(15), Value::Unknown);
}

#[test]
fn ways_that_differ_leave_what_is_the_same() {
    let (saved, not_saved) = (behind(&[0x55, 0x5b]), behind(&[]));
    // push %rbp; pop %rbx against nothing: rbx differs, and the word below rsp.
    let mut both = saved.clone();
    assert!(both.join(&not_saved));
    assert_eq!((both.get(BX), both.get(FP), both.get(SP)), (Value::Unknown, sum(FP, 0), sum(SP, 0)));
    let mut other = not_saved;
    assert!(other.join(&saved));
    for state in [&both, &other] {
        assert_eq!(state.load(sum(SP, -8)), Value::Unknown);
    }
    assert!(!both.clone().join(&other) && !other.join(&both), "both orders say the same");
}

#[test]
fn more_words_than_are_remembered_are_none() {
    // push %rbx, over and over: the word at rsp is not known to be untouched any more.
    let mut state = behind(&[0x53; MAX_WRITTEN + 1]);
    assert_eq!(state.load(sum(SP, 0)), Value::Unknown);
    assert!(!state.clone().join(&state), "the same again is no news");
    let mut fresh = State::beginning(FOLLOWED, SP);
    assert!(fresh.join(&state) && !fresh.join(&state));
    apply(&mut state, &iced_x86::Instruction::default());
    assert_eq!(state.get(FP), sum(FP, 0));
}
