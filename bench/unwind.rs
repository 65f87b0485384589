//! 64 frames from a copy of the stack in memory: each way to unwind, side by side.
//!
//! `cargo bench --bench unwind` prints the table. Each figure is the median of many short runs; the frames that
//! every way finds are compared before any is timed.

#[path = "../tests/support/eh_frame.rs"]
mod eh_frame;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use eh_frame::{Function, Tables, program, tables};
use fpprof::target::elf::{SectionData, UnwindSections};
use fpprof::target::memory::Region;
use fpprof::target::registers::Registers;
use fpprof::types::{Addr, Svma};
use fpprof::unwind::address_space::{AddressSpace, Code, CodeRange};
use fpprof::unwind::module::ModuleUnwinder;
use fpprof::unwind::stack::{NativeFrame, NativeStack, StackEnd};
use fpprof::unwind::step::StackBytes;
use fpprof::unwind::walk::Unwinder;
use fpprof::unwind::x86_64::X86_64;
use framehop::Unwinder as _;

const FRAMES: usize = 64;
/// As many functions as a Python interpreter has.
const FUNCTIONS: u64 = 12_000;
const FUNCTION_LEN: u64 = 0x100;
const TEXT: u64 = 0x10_0000;
const TABLES: u64 = 0x1000_0000;
const BIAS: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7fff_0000_0000;

/// A module and a stack of its functions.
struct Case {
    tables: Tables,
    registers: Registers,
    stack: Region,
}

fn main() {
    let framed = case(true);
    let frameless = case(false);
    let rows = [
        ("frame records, believed anywhere", believe_records(&framed)),
        ("fpprof, code with frame pointers", fpprof_walk(&framed)),
        ("fpprof, code without", fpprof_walk(&frameless)),
        ("fpprof, cold cache", fpprof_cold(&frameless)),
        ("framehop, warm cache", framehop_walk(&frameless, true)),
        ("framehop, cold cache", framehop_walk(&frameless, false)),
        ("gimli, uncached", gimli_walk(&frameless)),
    ];
    let fastest = rows[0].1;
    println!("{FRAMES} frames from memory              ns    ns/frame   x the first");
    for (name, ns) in rows {
        println!("{name:38} {ns:8.0} {:8.2} {:10.1}", ns / FRAMES as f64, ns / fastest);
    }
}

/// 64 calls in progress, far apart in the module; the outermost is the thread's entry.
fn case(keeps_frame_pointers: bool) -> Case {
    let start = |n: u64| TEXT + n * FUNCTION_LEN;
    let size = |n: u64| if keeps_frame_pointers { 64 } else { 32 + (n % 5) as u8 * 16 };
    let functions: Vec<Function> = (0..FUNCTIONS)
        .map(|n| {
            let program = match (n, keeps_frame_pointers) {
                (0, _) => program::thread_entry(),
                (_, true) => [program::frame_pointer(), program::early_returns()].concat(),
                (_, false) => [program::no_frame_pointer(size(n)), program::early_returns()].concat(),
            };
            Function { start: start(n), len: FUNCTION_LEN as u32, program, is_signal_frame: false }
        })
        .collect();
    let of_frame = |frame: usize| (FRAMES - 1 - frame) as u64 * 187;
    let pc = |frame: usize| BIAS + start(of_frame(frame)) + 0x47;

    let mut bytes = Vec::new();
    let mut records = Vec::new();
    for frame in 0..FRAMES - 1 {
        let cfa = bytes.len() + usize::from(size(of_frame(frame)));
        bytes.resize(cfa, 0);
        bytes[cfa - 8..].copy_from_slice(&pc(frame + 1).to_le_bytes());
        records.push(cfa - 16);
    }
    if keeps_frame_pointers {
        for pair in records.windows(2) {
            bytes[pair[0]..pair[0] + 8].copy_from_slice(&(STACK + pair[1] as u64).to_le_bytes());
        }
    }
    bytes.resize(bytes.len() + 64, 0);
    let mut registers = Registers::new();
    registers.set(16, pc(0));
    registers.set(7, STACK);
    registers.set(6, STACK + records[0] as u64);
    Case { tables: tables(&functions, TABLES), registers, stack: Region { start: Addr(STACK), bytes } }
}

fn space(case: &Case) -> AddressSpace {
    let section = |svma, bytes: &Vec<u8>| Some(SectionData { svma: Svma(svma), bytes: bytes.clone() });
    let unwinder = ModuleUnwinder::new(UnwindSections {
        eh_frame_hdr: section(case.tables.eh_frame_hdr_svma, &case.tables.eh_frame_hdr),
        eh_frame: section(case.tables.eh_frame_svma, &case.tables.eh_frame),
    });
    let (start, end) = (Addr(BIAS + TEXT), Addr(BIAS + TEXT + FUNCTIONS * FUNCTION_LEN));
    let code = Code::Module { index: 0, bias: BIAS, unwinder: Arc::new(unwinder) };
    AddressSpace::new(vec![CodeRange { start, end, code }])
}

fn check(out: &NativeStack) {
    assert_eq!((out.frames.len(), out.end), (FRAMES, StackEnd::ThreadEntry));
}

/// What following the records costs when no program counter is looked at: nothing that uses a rule can be faster. It is
/// wrong for a leaf in a prologue, and wherever a library uses rbp for something else.
fn believe_records(case: &Case) -> f64 {
    let get = |n| case.registers.get(n).unwrap_or(0);
    let (pc, bp, sp) = (get(16), get(6), get(7));
    let mut out = NativeStack::empty();
    let mut walk = || {
        out.frames.clear();
        out.frames.reserve(FRAMES);
        let (mut pc, mut bp, mut sp, mut is_return_address) = (black_box(pc), black_box(bp), black_box(sp), false);
        let stack = StackBytes::new(&case.stack);
        while out.frames.len() < out.frames.capacity() {
            out.frames.push(NativeFrame {
                pc: Addr(pc),
                is_return_address,
                sp: Addr(sp),
                cfa: Addr(bp.wrapping_add(16)),
            });
            let Some(record) = stack.pair(bp).filter(|_| bp >= sp) else { break };
            sp = bp.wrapping_add(16);
            (bp, pc) = record;
            is_return_address = true;
        }
        black_box(&out).frames.len()
    };
    assert_eq!(walk(), FRAMES);
    measure(|| {
        walk();
    })
}

fn fpprof_walk(case: &Case) -> f64 {
    let space = space(case);
    let mut unwinder = Unwinder::<X86_64>::new();
    let mut out = NativeStack::empty();
    unwinder.unwind(&case.registers, &case.stack, &space, &mut out);
    check(&out);
    measure(|| {
        unwinder.unwind(black_box(&case.registers), &case.stack, &space, &mut out);
        black_box(&out);
    })
}

fn fpprof_cold(case: &Case) -> f64 {
    let spaces = [space(case), space(case)];
    let mut unwinder = Unwinder::<X86_64>::new();
    let mut out = NativeStack::empty();
    let mut turn = 0;
    measure(|| {
        turn ^= 1;
        unwinder.unwind(black_box(&case.registers), &case.stack, &spaces[turn], &mut out);
        black_box(&out);
    })
}

fn framehop_walk(case: &Case, warm: bool) -> f64 {
    use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
    let end = TEXT + FUNCTIONS * FUNCTION_LEN;
    let (frame, header) = (&case.tables.eh_frame, &case.tables.eh_frame_hdr);
    let range = |svma: u64, bytes: &[u8]| Some(svma..svma + bytes.len() as u64);
    let info = framehop::ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma: Some(TEXT..end),
        eh_frame_svma: range(case.tables.eh_frame_svma, frame),
        eh_frame: Some(frame.clone()),
        eh_frame_hdr_svma: range(case.tables.eh_frame_hdr_svma, header),
        eh_frame_hdr: Some(header.clone()),
        ..Default::default()
    };
    let mut unwinder = UnwinderX86_64::<Vec<u8>>::new();
    unwinder.add_module(framehop::Module::new("bench".into(), BIAS + TEXT..BIAS + end, BIAS, info));
    let get = |n| case.registers.get(n).unwrap_or(0);
    let mut cache = CacheX86_64::<_>::new();
    let mut frames = Vec::new();
    let mut walk = || {
        if !warm {
            cache = CacheX86_64::<_>::new();
        }
        frames.clear();
        let mut read = |addr| case.stack.u64_at(Addr(addr)).ok_or(());
        let registers = UnwindRegsX86_64::new(get(16), get(7), get(6));
        let mut iter = unwinder.iter_frames(get(16), registers, &mut cache, &mut read);
        while let Ok(Some(frame)) = iter.next() {
            frames.push(frame);
        }
        black_box(&frames).len()
    };
    assert_eq!(walk(), FRAMES);
    measure(|| {
        walk();
    })
}

fn gimli_walk(case: &Case) -> f64 {
    use gimli::{BaseAddresses, CfaRule, EhFrame, EhFrameHdr, LittleEndian, Register, RegisterRule, UnwindSection};
    let eh_frame = EhFrame::new(&case.tables.eh_frame, LittleEndian);
    let bases = BaseAddresses::default()
        .set_eh_frame(case.tables.eh_frame_svma)
        .set_eh_frame_hdr(case.tables.eh_frame_hdr_svma);
    let header = EhFrameHdr::new(&case.tables.eh_frame_hdr, LittleEndian).parse(&bases, 8).expect("a header");
    let table = header.table().expect("a table");
    let get = |n| case.registers.get(n).unwrap_or(0);
    let walk = || {
        let (mut pc, mut sp, mut frames) = (get(16), get(7), 0);
        loop {
            frames += 1;
            let svma = pc - u64::from(frames > 1) - BIAS;
            let mut context = gimli::UnwindContext::new();
            let row = table
                .unwind_info_for_address(&eh_frame, &bases, &mut context, svma, EhFrame::cie_from_offset)
                .expect("a row");
            if row.register(Register(16)) == Some(RegisterRule::Undefined) {
                return frames;
            }
            let CfaRule::RegisterAndOffset { offset, .. } = row.cfa() else { unreachable!() };
            sp = sp.wrapping_add_signed(*offset);
            pc = case.stack.u64_at(Addr(sp - 8)).expect("a return address");
        }
    };
    assert_eq!(walk(), FRAMES);
    measure(|| {
        black_box(walk());
    })
}

/// The median time of one call in nanoseconds, over batches long enough for the clock.
fn measure(mut f: impl FnMut()) -> f64 {
    let mut batch = 1_u32;
    let time = |f: &mut dyn FnMut(), batch: u32| {
        let start = Instant::now();
        (0..batch).for_each(|_| f());
        start.elapsed()
    };
    while time(&mut f, batch).as_micros() < 500 {
        batch *= 2;
    }
    let mut times: Vec<f64> = (0..201).map(|_| time(&mut f, batch).as_nanos() as f64 / f64::from(batch)).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
