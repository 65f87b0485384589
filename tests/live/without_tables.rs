//! Code without unwind tables is walked through by its instructions, and nothing is told that is not so: threads that run real libraries
//! are stopped at random moments, and each stack is walked twice, with the tables of all files, which is the truth, and as if no file
//! but the interpreter's and the libc's had any.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fpprof::capture::native;
use fpprof::merge::resync::EvalFrameModel;
use fpprof::process::reader::Reader;
use fpprof::process::reading::Reading;
use fpprof::stack::moment::Moment;
use fpprof::stack::native_walk;
use fpprof::target::elf::{ElfFile, UnwindSections};
use fpprof::types::{Addr, Svma};
use fpprof::unwind::address_space::{AddressSpace, Code, CodeRange};
use fpprof::unwind::code_bytes::CodeBytes;
use fpprof::unwind::module::ModuleUnwinder;
use fpprof::unwind::stack::{NativeStack, StackEnd};

use crate::interpreters::{self, TestInterpreter};
use crate::patience::{patience, samples};
use crate::reading::{How, OneByOne};
use crate::target::{Mode, Target};

/// A file's instructions.
#[derive(Debug)]
struct FileCode(Arc<ElfFile>);

impl CodeBytes for FileCode {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        self.0.code_bytes(svma, len).ok()
    }
}

/// Whether a module is one whose tables are taken away: neither the interpreter's nor the libc, in which threads begin.
fn is_stripped(reader: &Reader, index: usize) -> bool {
    let name = reader.space.modules.list()[index].name();
    index != reader.found.module.0 as usize && !name.starts_with("libc.so") && !name.starts_with("libc-")
}

/// The same code; no file has tables but the interpreter's and the libc's.
fn without_tables(reader: &Reader) -> AddressSpace {
    let stripped = |range: &CodeRange| {
        let code = match &range.code {
            Code::Module { index, bias, .. } if is_stripped(reader, *index) => {
                let module = &reader.space.modules.list()[*index];
                let unwinder = ModuleUnwinder::new(UnwindSections::default());
                let unwinder = match &module.elf {
                    Ok(elf) => unwinder.with_code(Arc::new(FileCode(Arc::clone(elf)))),
                    Err(_) => unwinder,
                };
                Code::Module { index: *index, bias: *bias, unwinder: Arc::new(unwinder) }
            }
            code => code.clone(),
        };
        CodeRange { start: range.start, end: range.end, code }
    };
    let ranges = reader.space.addresses.ranges().iter().map(stripped).collect();
    let memory = reader.space.addresses.anonymous_code().expect("the target's memory can be read");
    AddressSpace::new(ranges).with_anonymous_code(Arc::clone(memory))
}

/// What has come of the stacks.
#[derive(Debug, Default)]
struct Outcome {
    stacks: usize,
    /// Those that have frames of the code whose tables were taken away.
    concerned: usize,
    complete: usize,
    wrong: Vec<String>,
    /// Where those end that are not complete, by file and address.
    ends: BTreeMap<String, usize>,
}

impl Outcome {
    fn add(&mut self, truth: &NativeStack, walked: &NativeStack, place: impl Fn(Addr) -> String) {
        self.stacks += 1;
        let whole = walked.end == StackEnd::ThreadEntry;
        self.complete += usize::from(whole);
        if !whole {
            let last = walked.frames.last().map_or("nothing".to_owned(), |frame| place(frame.lookup_address()));
            *self.ends.entry(last).or_default() += 1;
        }
        let places = |stack: &NativeStack| stack.frames.iter().map(|f| (f.pc, f.sp)).collect::<Vec<_>>();
        let (truth, walked) = (places(truth), places(walked));
        let agrees = if whole { walked == truth } else { truth.starts_with(&walked) };
        if !agrees {
            let first = walked.iter().zip(&truth).take_while(|(a, b)| a == b).count();
            let around = |stack: &[(Addr, Addr)]| {
                let some = stack.iter().skip(first.saturating_sub(1)).take(3);
                some.map(|(pc, sp)| format!("{} sp {sp:?}", place(*pc))).collect::<Vec<_>>().join(", ")
            };
            self.wrong.push(format!("at {first}: {} instead of {}", around(&walked), around(&truth)));
        }
    }
}

/// Stops a thread and reads it, as soon as it can be read.
fn read(one_by_one: &mut OneByOne, tid: i32) -> Reading {
    let deadline = Instant::now() + patience();
    loop {
        match one_by_one.try_reading(tid, How::Stopped) {
            Ok(reading) => return reading,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
        std::thread::yield_now();
    }
}

/// Stops every thread of a target so often, at moments that have nothing to do with what it does, and then until a tenth of that many
/// stacks have frames of code whose tables were taken away.
fn walk_twice(target: &Target, count: usize) -> Outcome {
    let mut one_by_one = OneByOne::open(target.pid());
    let mut walk = native_walk::for_machine(native::MACHINE);
    let mut outcome = Outcome::default();
    let mut space = (0, without_tables(one_by_one.reader()));
    let tids: Vec<i32> = target.truth().threads.iter().map(|thread| thread.native_id).collect();
    let deadline = Instant::now() + patience();
    for n in 0.. {
        if n >= count && (outcome.concerned * 10 >= count || Instant::now() > deadline) {
            break;
        }
        // The moments are those of the machine, and a little more.
        std::thread::sleep(Duration::from_micros(n as u64 * 7919 % 997));
        let reading = read(&mut one_by_one, tids[n % tids.len()]);
        let reader = one_by_one.reader();
        if space.0 != reader.space.addresses.generation() {
            space = (reader.space.addresses.generation(), without_tables(reader));
        }
        let captured = &reading.captured;
        let moment = |addresses| Moment {
            registers: &captured.registers,
            stack: &captured.stack,
            addresses,
            codes: &reader.codes,
        };
        let mut with_tables = native_walk::for_machine(native::MACHINE);
        // A stack that is not complete with its tables tells no truth.
        if with_tables.unwind(moment(&reader.space.addresses)) != StackEnd::ThreadEntry {
            continue;
        }
        let truth = &with_tables.segments()[0];
        if walk.unwind(moment(&space.1)) != StackEnd::ThreadEntry {
            walk.repair(moment(&space.1), None, &EvalFrameModel::default());
        }
        let is_concerned = |addr| match space.1.find(addr).map(|range| &range.code) {
            Some(Code::Module { index, .. }) => is_stripped(reader, *index),
            _ => true,
        };
        outcome.concerned += usize::from(truth.frames.iter().any(|f| is_concerned(f.lookup_address())));
        let place = |addr: Addr| match &reader.space.addresses.find(addr).map(|range| &range.code) {
            Some(Code::Module { index, bias, .. }) => {
                format!("{}+{:#x}", reader.space.modules.list()[*index].name(), addr.0.wrapping_sub(*bias))
            }
            _ => format!("{addr:?}"),
        };
        outcome.add(truth, &walk.segments()[0], place);
    }
    outcome
}

fn outcome(interpreter: &TestInterpreter, program: &str, count: usize) -> Outcome {
    walk_twice(&Target::spawn(interpreter, program, Mode::Work, &[]), count)
}

#[test]
#[ignore = "figures, for those who work on it"]
fn figures() {
    for name in ["pyenv 3.13", "sid 3.13"] {
        let outcome = outcome(&interpreters::named(name), "c_libraries", 1500);
        println!("{name}: {outcome:#?}");
    }
}

/// The programs' own libraries, whose tables are taken away, are in two of five stacks. On AArch64 a function that saves x30 late is
/// left by that register in the innermost frame only, and how many stacks are complete has not been measured.
#[test]
fn what_is_told_of_code_without_tables_is_what_its_tables_say() {
    for name in ["pyenv 3.13", "sid 3.13"] {
        let count = samples(400, 100);
        let outcome = outcome(&interpreters::named(name), "c_libraries", count);
        assert!(outcome.wrong.is_empty(), "{name}: {outcome:#?}");
        assert!(outcome.concerned * 10 >= count, "{name}: {outcome:#?}");
        if cfg!(target_arch = "x86_64") {
            assert!(outcome.complete * 100 >= outcome.stacks * 95, "{name}: {outcome:#?}");
        }
    }
}
