//! Arbitrary files in place of snapshots, and arbitrary bytes in a snapshot's place for stack and memory: an error or a
//! stack, and no panic, hang or memory without bounds.

#![no_main]

use fpprof::target::registers::Registers;
use fpprof::merge::eval_code::EvalCode;
use fpprof::snapshot::replay::Replay;
use fpprof::snapshot::{CodeMapping, ModuleImage, Runtime, Snapshot, SparseSection};
use fpprof::target::memory::Region;
use fpprof::types::{Addr, Machine, Svma};
use libfuzzer_sys::fuzz_target;

const STACK: u64 = 0x7ffc_0000_0000;
const MEMORY: u64 = 0x5555_0000_0000;
const BIAS: u64 = 0x7f00_0000_0000;

fuzz_target!(|data: &[u8]| {
    if let Ok(snapshot) = Snapshot::from_json(data) {
        run(snapshot);
    }
    let Some((&[version, pc, sp, bp, stack_len, frame_len], rest)) = data.split_first_chunk::<6>() else { return };
    let (stack, rest) = rest.split_at(rest.len().min(8 * usize::from(stack_len)));
    let (frame, memory) = rest.split_at(rest.len().min(4 * usize::from(frame_len)));
    let mut registers = Registers::new();
    // The program counter, the stack pointer and the frame pointer, by their DWARF numbers.
    let (machine, numbers) = match version & 0x80 {
        0 => (Machine::X86_64, [16, 7, 6]),
        _ => (Machine::Aarch64, [32, 31, 29]),
    };
    registers.set(numbers[0], BIAS + u64::from(pc));
    registers.set(numbers[1], STACK + u64::from(sp));
    registers.set(numbers[2], STACK + u64::from(bp));
    let section = SparseSection { svma: Svma(0x1000), len: frame.len(), parts: vec![(0, frame.to_vec())] };
    run(Snapshot {
        machine,
        runtime: Runtime {
            address: Addr(MEMORY),
            version_symbol: None,
            file_name: ["python3.11", "python3.12", "python3.15"][usize::from(version % 3)].into(),
        },
        registers,
        stack: Region { start: Addr(STACK), bytes: stack.to_vec() },
        memory: vec![Region { start: Addr(MEMORY), bytes: memory.to_vec() }],
        thread_states: vec![Addr(MEMORY)],
        evaluation_frame: None,
        evaluation_code: EvalCode::default(),
        modules: vec![ModuleImage {
            name: "module".into(),
            build_id: None,
            bias: BIAS,
            eh_frame_hdr: None,
            eh_frame: Some(section),
            code: vec![(0, frame.to_vec())],
        }],
        code: vec![CodeMapping { start: Addr(BIAS), end: Addr(BIAS + 0x1_0000), module: Some(0) }],
    });
});

fn run(snapshot: Snapshot) {
    let Ok(replay) = Replay::new(snapshot) else { return };
    let frames = replay.run(&mut replay.journey());
    frames.iter().for_each(|frame| drop(replay.describe(frame)));
}
