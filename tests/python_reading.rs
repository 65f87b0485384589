//! What every interpreter says of its own stacks is what fpprof reads from its memory: each frame's qualified name,
//! file and line, each thread, and as many markers as there are evaluations of bytecode.

mod support;

use fpprof::python::code::{CodeIdentity, CodeObject};
use fpprof::python::frames::{interleave, walk};
use fpprof::python::layout::Support;
use fpprof::python::runtime::{Candidate, Interpreter};
use fpprof::python::stack::{ChainEnd, PythonEntry, PythonStack};
use fpprof::python::threads::Threads;
use fpprof::types::Addr;
use support::interpreters::{self, TestInterpreter};
use support::locate::{ProcMemory, locate};
use support::parked::{Parked, Report, ToldFrame};

/// How often each scenario runs before it parks for the second time: enough for specialisation and the JIT.
const WARM: &str = "5000";

#[test]
fn stacks_equal_what_the_interpreter_says() {
    // Two at a time: the test machines have two cores.
    let all = interpreters::all();
    let (first, second) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| first.iter().for_each(check));
        second.iter().for_each(check);
    });
}

fn check(interpreter: &TestInterpreter) {
    let mut program = Parked::start(interpreter, "stacks.py", &[WARM]);
    let mut reader = None;
    let mut reports = 0;
    while let Some(report) = program.next_report() {
        let reader = reader.get_or_insert_with(|| Reader::attach(interpreter, program.pid()));
        reader.check(&report);
        reports += 1;
        program.release();
    }
    assert!(reports >= 60, "{}: only {reports} reports", interpreter.name);
}

struct Reader<'a> {
    test: &'a TestInterpreter,
    mem: ProcMemory,
    interpreter: Interpreter,
}

impl<'a> Reader<'a> {
    fn attach(test: &'a TestInterpreter, pid: u32) -> Self {
        let located = locate(pid);
        let mem = ProcMemory::open(pid);
        let candidate = Candidate {
            runtime: located.runtime,
            version_symbol: located.version_symbol,
            file_name: &located.file_name,
        };
        let interpreter = Interpreter::recognise(&mem, &candidate)
            .unwrap_or_else(|error| panic!("{}: {error}: {located:?}", test.name));
        assert_eq!(interpreter.version.series(), (3, test.minor), "{}", test.name);
        assert_eq!(interpreter.support, Support::Known);
        assert!(!interpreter.is_finalizing(&mem).unwrap());
        Reader { test, mem, interpreter }
    }

    fn check(&self, report: &Report) {
        let what = format!("{}: {}", self.test.name, report.scenario);
        assert_eq!(report.jit, self.test.jit, "{what}: the JIT");
        let threads = Threads::list(&self.interpreter, &self.mem);
        assert_eq!(threads.incomplete, None, "{what}");
        for (ident, told) in &report.threads {
            let mut states: Vec<_> = threads.of_thread_pointer(Addr(*ident)).collect();
            assert!(!states.is_empty(), "{what}: no thread state for {ident:#x}: {threads:#x?}");
            if let Some(native) = report.native.get(ident) {
                let by_native: Vec<_> = threads.of_native_id(*native).collect();
                assert_eq!(by_native, states, "{what}");
            }
            let stack = interleave(states.drain(..).map(|s| walk(&self.interpreter.layout, &self.mem, s.address)));
            self.check_stack(&what, stack, told);
        }
        let current: Vec<_> = threads.of_thread_pointer(Addr(report.current)).collect();
        let holds_gil = current.iter().any(|state| threads.holds_gil(state.address));
        assert_eq!(holds_gil, report.scenario.starts_with("holding_the_gil"), "{what}: {threads:#x?}");
        let main = threads.interpreters.iter().filter(|interpreter| interpreter.is_main()).count();
        assert_eq!(main, 1, "{what}");
        let several = report.scenario.starts_with("subinterpreter");
        assert_eq!(threads.interpreters.len(), if several { 2 } else { 1 }, "{what}");
    }

    fn check_stack(&self, what: &str, mut stack: PythonStack, told: &[ToldFrame]) {
        assert_eq!(stack.end, ChainEnd::Root, "{what}: {stack:#x?}");
        assert!(matches!(stack.entries.last(), Some(PythonEntry::Marker(_))), "{what}: {stack:#x?}");
        let layout = &self.interpreter.layout;
        stack.drop_incomplete(|code| Some(self.code(what, code).first_traceable));
        let read: Vec<ToldFrame> = stack
            .entries
            .iter()
            .filter_map(PythonEntry::frame)
            .map(|frame| {
                let code = self.code(what, frame.code);
                assert_eq!(CodeIdentity::read(&self.mem, layout, frame.code), Ok(code.identity));
                let line = frame.instruction_offset.and_then(|offset| code.line_at(offset));
                (code.qualname, code.filename, line)
            })
            .collect();
        if let Some(at) = (0..read.len().max(told.len())).find(|&at| read.get(at) != told.get(at)) {
            panic!(
                "{what}: frame {at} is\n{:?}, not\n{:?}; {} frames, not {}",
                read.get(at),
                told.get(at),
                read.len(),
                told.len()
            );
        }
        let markers: Vec<Addr> = stack
            .entries
            .iter()
            .filter_map(|entry| if let PythonEntry::Marker(address) = entry { Some(*address) } else { None })
            .collect();
        assert!(markers.is_sorted_by(|a, b| a < b), "{what}: markers are not in the order of the C stack");
        if let Some(evaluations) = evaluations(what) {
            assert_eq!(markers.len(), evaluations, "{what}: {stack:#x?}");
        }
    }

    fn code(&self, what: &str, address: Addr) -> CodeObject {
        CodeObject::read(&self.mem, &self.interpreter.layout, address)
            .unwrap_or_else(|error| panic!("{what}: code object at {address}: {error}"))
    }
}

/// How many evaluations of bytecode a scenario has in every version: one for the module and all Python functions that
/// are called from Python code, and one for each call of Python code from C code.
fn evaluations(what: &str) -> Option<usize> {
    let (_, scenario) = what.split_once(": ")?;
    match scenario.split(' ').next()? {
        "nested" | "recursion" | "anonymous" | "closure" | "decorated" | "raised" | "multi_line" => Some(1),
        "sorted_key" | "reduced" | "deleted" | "weak_callback" | "substituted" | "c_callback" | "metaclass" => Some(2),
        "subclass_hook" | "subinterpreter" => Some(2),
        "sorted_twice" => Some(3),
        _ => None,
    }
}
