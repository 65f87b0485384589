//! The compact rules against the decoder they are made with: every row of real ELF files.
//!
//! The expectation is computed here from gimli's own row on its own path (a scan of `.eh_frame`, no header, no
//! cache), on a stack whose words are all different; the product's answer comes from the rule and from a whole walk.
//! More files: `UNWIND_TEST_FILES=/path/a:/path/b cargo test --test unwind_tables -- --nocapture`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fpprof::target::elf::{SectionData, UnwindSections};
use fpprof::target::memory::Region;
use fpprof::target::registers::Registers;
use fpprof::types::{Addr, Svma};
use fpprof::unwind::address_space::{AddressSpace, Code, CodeRange};
use fpprof::unwind::module::ModuleUnwinder;
use fpprof::unwind::stack::{NativeStack, StackEnd};
use fpprof::unwind::step::{Cursor, StackBytes, StepError};
use fpprof::unwind::walk::Unwinder;
use fpprof::unwind::x86_64::X86_64;
use fpprof::unwind::x86_64::rule::UnwindRule;
use fpprof::unwind::x86_64::step::step;
use gimli::{
    CfaRule, CieOrFde, EhFrame, EndianSlice, EvaluationResult, Expression, LittleEndian, Register, RegisterRule,
    UnwindSection, Value,
};
use object::{Object, ObjectSection};

const BIAS: u64 = 0x5500_0000_0000;
const STACK: u64 = 0x7ffc_0000_0000;
const STACK_LEN: usize = 1 << 18;
const SP: u64 = STACK + 0x4000;
const BP: u64 = STACK + 0x6000;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// What a row says about a frame: `None` where the tables themselves do not say.
#[derive(Debug, PartialEq)]
struct Expected {
    cfa: u64,
    return_address: Option<u64>,
    bp: Option<u64>,
}

#[test]
fn every_row_of_the_c_library_decodes_to_the_same_frame() {
    let compared = compare(&mapped_libc());
    assert!(compared.rows > 10_000, "{compared:?}");
    assert!(compared.complex > 0, "the signal trampoline is one: {compared:?}");
}

#[test]
fn every_row_of_the_files_named_in_the_environment_decodes_to_the_same_frame() {
    for path in std::env::var("UNWIND_TEST_FILES").unwrap_or_default().split(':').filter(|p| !p.is_empty()) {
        let Compared { rows, complex, entries } = compare(Path::new(path));
        println!("{path}: {rows} rows, {complex} complex, {entries} entries");
    }
}

/// The file of the C library that this test runs with.
fn mapped_libc() -> PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the maps of this process");
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let is_libc = |path: &&str| path.rsplit('/').next().is_some_and(|name| name.starts_with("libc.so"));
    paths.into_iter().find(is_libc).map(PathBuf::from).expect("a shared C library")
}

#[derive(Debug, Default)]
struct Compared {
    rows: u64,
    complex: u64,
    entries: u64,
}

fn compare(path: &Path) -> Compared {
    let bytes = std::fs::read(path).expect("an ELF file");
    let file = object::File::parse(&*bytes).expect("an ELF file");
    let section = |name| {
        let section = file.section_by_name(name)?;
        Some(SectionData { svma: Svma(section.address()), bytes: section.data().ok()?.to_vec() })
    };
    let frames = section(".eh_frame").expect(".eh_frame");
    let with_header = Arc::new(ModuleUnwinder::new(UnwindSections {
        eh_frame_hdr: section(".eh_frame_hdr"),
        eh_frame: Some(frames.clone()),
    }));
    let without_header = ModuleUnwinder::new(UnwindSections { eh_frame_hdr: None, eh_frame: Some(frames.clone()) });
    let code = Code::Module { index: 0, bias: BIAS, unwinder: Arc::clone(&with_header) };
    let space = AddressSpace::new(vec![CodeRange { start: Addr(BIAS), end: Addr(BIAS + (1 << 32)), code }]);
    let stack = stack();
    let mut registers = Registers::new();
    (0..16).for_each(|n| registers.set(n, STACK + 0x800 * n as u64));
    registers.set(7, SP);
    registers.set(6, BP);

    let eh_frame = EhFrame::new(&frames.bytes, LittleEndian);
    let bases = gimli::BaseAddresses::default().set_eh_frame(frames.svma.0);
    let mut context = gimli::UnwindContext::new();
    let (mut unwinder, mut out) = (Unwinder::<X86_64>::new(), NativeStack::empty());
    let mut compared = Compared::default();
    let mut entries = eh_frame.entries(&bases);
    while let Some(entry) = entries.next().expect("a table") {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(EhFrame::cie_from_offset).expect("an entry");
        let mut table = fde.rows(&eh_frame, &bases, &mut context).expect("rows");
        while let Some(row) = table.next_row().expect("a row") {
            let (start, end) = (row.start_address(), row.end_address());
            if start >= end {
                continue;
            }
            // A row's last address too, for the border; of every eighth, for the test's own time.
            let addresses = if compared.rows.is_multiple_of(8) { vec![start, end - 1] } else { vec![start] };
            for svma in addresses {
                let pc = BIAS + svma;
                registers.set(16, pc);
                let expected = expect(row, &eh_frame, fde.cie().encoding(), &registers, &stack);
                let rule = with_header.rule::<X86_64>(Svma(svma)).expect("a rule");
                if compared.rows.is_multiple_of(8) {
                    assert_eq!(Some(rule), without_header.rule::<X86_64>(Svma(svma)), "{svma:#x}");
                }
                check_rule(&rule, pc, &stack, &expected);
                for _ in ["cold", "cached"] {
                    unwinder.unwind(&registers, &stack, &space, &mut out);
                    check_walk(&out, &rule, pc, &expected);
                }
                compared.rows += 1;
                compared.complex += u64::from(rule == UnwindRule::Complex);
                compared.entries += u64::from(rule == UnwindRule::ThreadEntry);
            }
        }
    }
    compared
}

/// A stack on which no two words are equal and none is the address of code.
fn stack() -> Region {
    let words = (0..STACK_LEN as u64 / 8).map(|n| 0x1111_0000_0000_0000 + n * 0x1_0001);
    Region { start: Addr(STACK), bytes: words.flat_map(u64::to_le_bytes).collect() }
}

fn check_rule(rule: &UnwindRule, pc: u64, stack: &Region, expected: &Option<Expected>) {
    if matches!(rule, UnwindRule::Complex | UnwindRule::ThreadEntry) {
        return;
    }
    let got = step(rule, Cursor { pc, sp: SP, fp: Some(BP), lr: None }, StackBytes::new(stack));
    let Some(expected) = expected else {
        assert!(matches!(got, Err(StepError::Unreadable(_))), "{pc:#x} {rule:?}: {got:?}");
        return;
    };
    match got {
        Ok((cfa, caller)) => {
            let got = Expected { cfa, return_address: Some(caller.pc), bp: caller.fp };
            assert_eq!(&got, expected, "{pc:#x} {rule:?}");
        }
        Err(error) => assert!(expected.cfa <= SP, "{pc:#x} {rule:?}: {error:?}, {expected:?}"),
    }
}

fn check_walk(out: &NativeStack, rule: &UnwindRule, pc: u64, expected: &Option<Expected>) {
    // The innermost frame may be empty where its return address is in a register (`vfork`).
    let lowest = if *rule == UnwindRule::Complex { SP } else { SP + 1 };
    match expected {
        Some(Expected { return_address: None, .. }) => assert_eq!(out.end, StackEnd::ThreadEntry, "{pc:#x}"),
        Some(Expected { cfa, return_address: Some(ra), .. }) if *cfa >= lowest => {
            assert_eq!(out.frames.first().map(|f| f.cfa.0), Some(*cfa), "{pc:#x}");
            assert_eq!(out.end, StackEnd::UnmappedCode(Addr(*ra)), "{pc:#x}");
        }
        Some(_) => assert_eq!(out.end, StackEnd::NotAscending(Addr(pc)), "{pc:#x}"),
        None => assert!(!matches!(out.end, StackEnd::ThreadEntry | StackEnd::UnmappedCode(_)), "{pc:#x} {out:?}"),
    }
}

/// What gimli's row says, evaluated without any of the product's code. `None`: it needs memory that is not there.
fn expect(
    row: &gimli::UnwindTableRow<usize>,
    eh_frame: &EhFrame<Slice<'_>>,
    encoding: gimli::Encoding,
    registers: &Registers,
    stack: &Region,
) -> Option<Expected> {
    if row.register(Register(16)) == Some(RegisterRule::Undefined) {
        return Some(Expected { cfa: 0, return_address: None, bp: None });
    }
    let evaluate = |e: &gimli::UnwindExpression<usize>, initial: Option<u64>| {
        evaluate(e.get(eh_frame).ok()?, encoding, initial, (registers, stack))
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            registers.get(register.0.into())?.wrapping_add_signed(*offset)
        }
        CfaRule::Expression(e) => evaluate(e, None)?,
    };
    let restored = |register: u16, same: Option<u64>| match row.register(Register(register)) {
        None | Some(RegisterRule::SameValue) => same,
        Some(RegisterRule::Offset(n)) => stack.u64_at(Addr(cfa.wrapping_add_signed(n))),
        Some(RegisterRule::ValOffset(n)) => Some(cfa.wrapping_add_signed(n)),
        Some(RegisterRule::Expression(e)) => stack.u64_at(Addr(evaluate(&e, Some(cfa))?)),
        Some(RegisterRule::ValExpression(e)) => evaluate(&e, Some(cfa)),
        Some(RegisterRule::Register(r)) => registers.get(r.0.into()),
        _ => None,
    };
    // A signal trampoline gives the interrupted sp: there the frame ends.
    let cfa_or_sp = if row.register(Register(7)).is_some() { restored(7, None)? } else { cfa };
    Some(Expected { cfa: cfa_or_sp, return_address: Some(restored(16, None)?), bp: restored(6, Some(BP)) })
}

fn evaluate(
    expression: Expression<Slice<'_>>,
    encoding: gimli::Encoding,
    initial: Option<u64>,
    (registers, stack): (&Registers, &Region),
) -> Option<u64> {
    let mut evaluation = expression.evaluation(encoding);
    if let Some(value) = initial {
        evaluation.set_initial_value(value);
    }
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                evaluation.resume_with_register(Value::Generic(registers.get(register.0.into())?)).ok()?
            }
            EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                evaluation.resume_with_memory(Value::Generic(stack.u64_at(Addr(address))?)).ok()?
            }
            other => panic!("{other:?}"),
        };
    }
    match evaluation.result().first()?.location {
        gimli::Location::Address { address } => Some(address),
        _ => None,
    }
}
