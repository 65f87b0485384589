//! Functions of known compilers' flags, and tables that are none.

use proptest::prelude::*;

use super::*;
use crate::target::elf::SectionData;
use crate::types::Svma;
use crate::unwind::eh_frame_writer::{Function, program, tables};

const X86_64: Machine = Machine::X86_64;
/// Every function's length in bytes.
const LEN: u64 = 0x30;

fn measure(machine: Machine, programs: &[Vec<u8>]) -> FramePointerUse {
    let functions: Vec<Function> = programs
        .iter()
        .enumerate()
        .map(|(n, program)| Function {
            start: 0x1000 + n as u64 * 0x40,
            len: LEN as u32,
            program: program.clone(),
            is_signal_frame: false,
        })
        .collect();
    measure_bytes(machine, tables(&functions, 0x8000).eh_frame)
}

fn measure_bytes(machine: Machine, bytes: Vec<u8>) -> FramePointerUse {
    let eh_frame = Some(SectionData { svma: Svma(0x8000), bytes });
    FramePointerUse::measure(&UnwindSections { eh_frame_hdr: None, eh_frame }, FrameRecordRule::of(machine))
}

#[test]
fn a_function_with_a_frame_pointer_keeps_it_behind_its_prologue() {
    let used = measure(X86_64, &[program::frame_pointer()]);
    assert_eq!(used, FramePointerUse { kept: LEN - 4, edges: 4, ..FramePointerUse::default() });
    assert_eq!((used.share(), used.described()), (Some(1.0), LEN));
    // Three returns in between: one byte each stands where the record is gone already.
    let used = measure(X86_64, &[[program::frame_pointer(), program::early_returns()].concat()]);
    assert_eq!((used.omitted, used.edges, used.kept), (0, 4 + 3, LEN - 7));
}

#[test]
fn a_function_that_moves_the_stack_pointer_alone_keeps_none() {
    let used = measure(X86_64, &[program::no_frame_pointer(32), program::frame_pointer()]);
    assert_eq!((used.omitted, used.kept), (LEN, LEN - 4));
    assert_eq!(used.share().map(|share| (share * 100.0).round()), Some(48.0));
}

/// `push %rbp; push %rbx`: rbp is saved where a record has it, as a general register.
#[test]
fn a_general_register_is_no_frame_pointer() {
    let pushes = [program::advance(1), program::cfa_offset(16), program::saved(6, 2)].concat();
    let pushes = [pushes, program::advance(1), program::cfa_offset(24)].concat();
    let used = measure(X86_64, &[pushes]);
    assert_eq!((used.share(), used.omitted), (Some(0.0), LEN));
}

#[test]
fn what_flags_do_not_decide_is_left_out_of_the_share() {
    let entry = program::thread_entry();
    let aligned = [program::advance(4), program::cfa_expression(&[0x76, 0x78, 0x06])].concat();
    let used = measure(X86_64, &[Vec::new(), entry, aligned]);
    assert_eq!(used.share(), None);
    assert_eq!((used.frameless, used.described()), (LEN + 4, 3 * LEN));
}

/// `stp x29, x30, [sp, -32]!`: the CFA is told by the stack pointer, and the record is there all the same.
#[test]
fn on_aarch64_a_record_is_a_pair_of_saved_registers() {
    let pair = [program::advance(4), program::cfa_offset(32), program::saved(29, 4), program::saved(30, 3)].concat();
    let apart = [program::advance(4), program::cfa_offset(32), program::saved(29, 4), program::saved(30, 1)].concat();
    assert_eq!(measure(Machine::Aarch64, std::slice::from_ref(&pair)).kept, LEN - 4);
    assert_eq!(measure(Machine::Aarch64, &[apart]).kept, 0);
    assert_eq!(measure(X86_64, &[pair]).kept, 0, "these are other registers on x86-64");
}

#[test]
fn without_tables_there_is_no_share() {
    assert_eq!(measure_bytes(X86_64, Vec::new()), FramePointerUse::default());
    assert_eq!(FramePointerUse::default().share(), None);
}

proptest! {
    #[test]
    fn any_bytes_are_measured(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for machine in [X86_64, Machine::Aarch64] {
            let used = measure_bytes(machine, bytes.clone());
            prop_assert!(used.share().is_none_or(|share| (0.0..=1.0).contains(&share)), "{used:?}");
        }
    }

    #[test]
    fn any_program_is_measured(program in prop::collection::vec(any::<u8>(), 0..60)) {
        let used = measure(X86_64, &[program]);
        prop_assert!(used.described() <= LEN, "{used:?}");
    }
}
