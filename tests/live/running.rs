//! Targets that run: programs that compute, call, compress and multiply while they are sampled.
//!
//! No moment is the same, so each stack is held against what is known before: whether nothing is missing, whether the
//! interpreter's evaluations stand where its own symbols say, and whether each Python function can have called the next.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;

use fpprof::sampler::mode::Mode as Sampled;
use fpprof::sampler::sample::Sample;
use fpprof::sampler::session::Session;
use fpprof::stack::frame::{GapKind, SampleFrame};
use fpprof::target::modules::ModuleId;
use fpprof::types::Svma;
use object::{Object, ObjectSymbol};

use crate::allowed_calls::AllowedCalls;
use crate::extension;
use crate::interpreters::{self, TestInterpreter};
use crate::patience;
use crate::reading;
use crate::target::{Mode, Target};

/// The programs, by what they are about.
static WORKLOADS: [(&str, &str); 4] = [
    ("pure_python", "pure Python"),
    ("call_heavy", "call-heavy"),
    ("c_libraries", "zlib, bz2, json, re, hashlib"),
    ("numpy_work", "NumPy"),
];

/// Samples of each program in the short version.
const SHORT: usize = 1000;
/// The fewest: a thousand of the four programs tell whether one in a thousand is not complete.
const FEWEST: usize = 250;

/// What was found of one program's samples.
#[derive(Debug, Default)]
struct Findings {
    samples: usize,
    incomplete: usize,
    /// Evaluations in the wrong native frame, or native frames of the interpreter's loop that show no Python frame
    /// though they are not the innermost.
    wrong_merges: usize,
    /// Those of them that say of themselves that Python frames have no place: incomplete, and not false.
    told_merges: usize,
    impossible_pairs: usize,
    /// One example for each kind of finding.
    examples: BTreeMap<String, String>,
}

/// Samples a program `count` times and judges each stack.
fn judge(interpreter: &TestInterpreter, program: &str, count: usize) -> Findings {
    let target = Target::spawn(interpreter, program, Mode::Work, &[]);
    assert!(target.truth().calls.len() > 2, "{program} lists its pairs");
    let mut session = reading::session(target.pid(), Sampled::Cpu);
    let samples = reading::samples(&mut session, 1000.0, (count, 20 * count));
    let file = target.program_folder().join(format!("{program}.py")).to_string_lossy().into_owned();
    let root = fs::read_link(format!("/proc/{}/root", target.pid())).expect("the target runs");
    let mut calls = AllowedCalls::new(file, &target.truth().calls, root);
    let loops = evaluation_loop(&session);
    let mut findings = Findings { samples: samples.len(), ..Findings::default() };
    for sample in &samples {
        findings.judge(&session, sample, &mut calls, &loops);
    }
    assert!(target.release().success(), "{program} on {}", interpreter.name);
    findings
}

/// Where the interpreter's own symbols say that bytecode is evaluated, and in which module.
fn evaluation_loop(session: &Session) -> (ModuleId, Vec<Range<u64>>) {
    let id = session.reader.found.module;
    let module = session.reader.space.modules.get(id).expect("the interpreter is a module");
    let path = format!("/proc/{}/root{}", session.identity().pid, module.path.display());
    let bytes = fs::read(path).expect("the interpreter's file can be read");
    let own = object::File::parse(&*bytes).expect("it is an ELF file");
    let of = |file: &object::File<'_>| -> Vec<Range<u64>> {
        let is_loop = |name: &str| name.split('.').next() == Some("_PyEval_EvalFrameDefault");
        let symbols = file.symbols().filter(|s| s.size() > 0 && s.name().is_ok_and(is_loop));
        symbols.map(|s| s.address()..s.address() + s.size()).collect()
    };
    let mut ranges = of(&own);
    if ranges.is_empty() {
        let build_id = own.build_id().ok().flatten().expect("Debian's interpreters have a build-id");
        let hex: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = extension::symbols().join(format!(".build-id/{}/{}.debug", &hex[..2], &hex[2..]));
        let bytes = fs::read(path).expect("tests/setup has made it");
        ranges = of(&object::File::parse(&*bytes).expect("it is an ELF file"));
    }
    assert!(!ranges.is_empty(), "{} has no evaluation loop", module.name());
    (id, ranges)
}

impl Findings {
    fn judge(
        &mut self,
        session: &Session,
        sample: &Sample,
        calls: &mut AllowedCalls,
        (interpreter, loops): &(ModuleId, Vec<Range<u64>>),
    ) {
        let in_loop = |svma: Svma| loops.iter().any(|range| range.contains(&svma.0));
        let mut previous: Option<(String, String, Option<u32>)> = None;
        let mut evaluations = 0;
        let mut wrong_merge = None;
        let mut impossible = None;
        for frame in sample.frames.iter() {
            match frame {
                // The innermost has not linked its first frame yet.
                SampleFrame::Native { module, svma } if module == interpreter && in_loop(*svma) => {
                    if evaluations > 0 {
                        wrong_merge = Some(format!("an evaluation without Python frames, {evaluations} inside it"));
                    }
                    evaluations += 1;
                }
                SampleFrame::Evaluation { module, function } => {
                    if module != interpreter || !in_loop(*function) {
                        wrong_merge = Some(format!("Python frames in {function}, which evaluates nothing"));
                    }
                    evaluations += 1;
                }
                SampleFrame::Python { .. } => {
                    let caller = reading::python(session, frame).expect("its function is known");
                    if let Some(callee) = previous.replace(caller.clone())
                        && !calls.allows(&caller, &callee)
                    {
                        impossible = Some(format!("{caller:?} -> {callee:?}"));
                    }
                }
                SampleFrame::Native { .. } | SampleFrame::Unnamed(_) | SampleFrame::Missing(_) => {}
            }
        }
        let gaps: Vec<_> = sample.frames.iter().filter(|frame| matches!(frame, SampleFrame::Missing(_))).collect();
        if !gaps.is_empty() {
            self.incomplete += 1;
            self.examples.entry(format!("{gaps:?}")).or_insert_with(|| described(session, sample));
        }
        if let Some(what) = wrong_merge {
            self.wrong_merges += 1;
            let says_so =
                |frame: &SampleFrame| matches!(frame, SampleFrame::Missing(GapKind::Unplaced | GapKind::PythonChain));
            self.told_merges += usize::from(sample.frames.iter().any(says_so));
            self.examples.entry(what).or_insert_with(|| described(session, sample));
        }
        if let Some(what) = impossible {
            self.impossible_pairs += 1;
            self.examples.entry(what).or_default();
        }
    }
}

/// The innermost frames of a stack, for a message.
fn described(session: &Session, sample: &Sample) -> String {
    let text = |frame: &SampleFrame| match reading::python(session, frame) {
        Some((name, _, line)) => format!("{name}:{}", line.unwrap_or_default()),
        None => match frame {
            SampleFrame::Native { module, svma } => {
                format!("{}+{svma}", session.reader.space.modules.get(*module).map(|m| m.name()).unwrap_or_default())
            }
            other => format!("{other:?}"),
        },
    };
    sample.frames.iter().take(14).map(text).collect::<Vec<_>>().join(" < ")
}

/// Samples programs on an interpreter and gives what was found, by program.
fn judge_all(
    interpreter: &TestInterpreter,
    workloads: &'static [(&str, &str)],
    count: usize,
) -> Vec<(&'static str, Findings)> {
    workloads.iter().map(|(program, about)| (*about, judge(interpreter, program, count))).collect()
}

/// A short version of the figures, on one interpreter. At least 99.9 % complete is at most 0.1 % not: the programs are
/// taken together, because in so few samples of one program a single one would be nearly that.
fn prove(name: &str) {
    prove_with(name, &WORKLOADS, patience::samples(SHORT, FEWEST));
}

fn prove_with(name: &str, workloads: &'static [(&str, &str)], count: usize) {
    let findings = judge_all(&interpreters::named(name), workloads, count);
    let sum = |of: fn(&Findings) -> usize| findings.iter().map(|(_, findings)| of(findings)).sum::<usize>();
    println!("{name}: {} stacks of {} are complete", sum(|f| f.samples - f.incomplete), sum(|f| f.samples));
    assert!(sum(|f| f.incomplete) * 1000 <= sum(|f| f.samples), "{name}: incomplete: {findings:#?}");
    assert_eq!((sum(|f| f.wrong_merges - f.told_merges), sum(|f| f.impossible_pairs)), (0, 0), "{name}: {findings:#?}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn cpython_3_11_without_frame_pointers() {
    prove("pyenv 3.11");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn cpython_3_12_without_frame_pointers() {
    prove("pyenv 3.12");
}

#[test]
fn cpython_3_13_without_frame_pointers() {
    prove("pyenv 3.13");
}

/// Its libc has no unwind tables. It lacks the libraries of the other programs; of each there are twice as many samples.
#[cfg(target_arch = "x86_64")]
#[test]
fn cpython_3_13_on_musl() {
    prove_with("musl 3.13", WORKLOADS.split_at(2).0, 2 * patience::samples(SHORT, FEWEST));
}

#[test]
fn debian_3_13() {
    prove("sid 3.13");
}

#[test]
fn debian_3_14() {
    prove("sid 3.14");
}

#[test]
fn debian_3_14_with_jit() {
    prove("sid 3.14 jit");
}

#[test]
fn debian_3_15_with_frame_pointers() {
    prove("sid 3.15");
}

#[test]
fn debian_3_15_with_frame_pointers_and_jit() {
    prove("sid 3.15 jit");
}

/// Prints the table of docs/testing.md:
/// `cargo test --test live figures -- --ignored --nocapture`, with `FPPROF_SAMPLES` for each program (5000).
#[test]
#[ignore = "takes minutes; it makes the figures of docs/testing.md"]
fn figures() {
    let count = std::env::var("FPPROF_SAMPLES").map_or(5000, |count| count.parse().expect("a number"));
    println!("| interpreter | program | samples | complete | wrong merges | impossible pairs |");
    println!("|---|---|---|---|---|---|");
    for interpreter in interpreters::all() {
        for (about, f) in judge_all(&interpreter, &WORKLOADS, count) {
            println!(
                "| {} | {about} | {} | {:.2} % | {} | {} |",
                interpreter.name,
                f.samples,
                100.0 * (f.samples - f.incomplete) as f64 / f.samples as f64,
                f.wrong_merges,
                f.impossible_pairs,
            );
            f.examples.iter().for_each(|(what, where_)| eprintln!("    {what}: {where_}"));
        }
    }
}
