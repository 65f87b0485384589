//! Arbitrary unwind tables, program counters and stacks: nothing panics, hangs, or goes down the stack.

#![no_main]

use std::sync::Arc;

use fpprof::target::elf::{SectionData, UnwindSections};
use fpprof::target::memory::Region;
use fpprof::target::registers::Registers;
use fpprof::types::{Addr, Machine, Svma};
use fpprof::unwind::address_space::{AddressSpace, Code, CodeRange};
use fpprof::unwind::frame_pointers::{FramePointerUse, FrameRecordRule};
use fpprof::unwind::module::ModuleUnwinder;
use fpprof::unwind::stack::NativeStack;
use fpprof::unwind::walk::Unwinder;
use fpprof::unwind::x86_64::X86_64;
use libfuzzer_sys::fuzz_target;

const STACK: u64 = 0x7ffc_0000_0000;

fuzz_target!(|data: &[u8]| {
    // Ten bytes of lengths and addresses, then the header, the table and the stack.
    let Some((&[with_header, header_len, frame_len, pc0, pc1, sp, bp, bias, code_len, svma], rest)) =
        data.split_first_chunk::<10>()
    else {
        return;
    };
    let (header, rest) = rest.split_at(rest.len().min(usize::from(header_len)));
    let (frame, stack) = rest.split_at(rest.len().min(usize::from(frame_len) * 4));
    let svma = u64::from(svma) << 8;
    let header = SectionData { svma: Svma(svma + frame.len() as u64), bytes: header.to_vec() };
    let unwinder = Arc::new(ModuleUnwinder::new(UnwindSections {
        eh_frame_hdr: (with_header & 1 != 0).then_some(header),
        eh_frame: Some(SectionData { svma: Svma(svma), bytes: frame.to_vec() }),
    }));
    for machine in [Machine::X86_64, Machine::Aarch64] {
        FramePointerUse::measure(unwinder.sections(), FrameRecordRule::of(machine));
    }
    let bias = u64::from(bias) << 12;
    let pc = bias + u64::from(u16::from_le_bytes([pc0, pc1]));
    unwinder.function_start(Svma(pc - bias));
    let end = Addr(bias + (u64::from(code_len) << 10));
    let code = Code::Module { index: 0, bias, unwinder };
    let space = AddressSpace::new(vec![CodeRange { start: Addr(bias), end, code }]);

    let mut registers = Registers::new();
    (0..16).for_each(|n| registers.set(n, STACK + 8 * n as u64));
    registers.set(16, pc);
    registers.set(7, STACK + u64::from(sp));
    registers.set(6, STACK + u64::from(bp));
    let stack = Region { start: Addr(STACK), bytes: stack.to_vec() };
    let mut out = NativeStack::empty();
    let mut unwinder = Unwinder::<X86_64>::new();
    for _ in ["cold", "cached"] {
        unwinder.unwind(&registers, &stack, &space, &mut out);
        assert!(out.frames.windows(2).all(|f| f[0].cfa < f[1].cfa), "{out:?}");
    }
});
