//! Processes that are not as the interpreter or the kernel's first thread says: forked by native code, or without their first thread.

use crate::interpreters::{self, TestInterpreter};
use crate::patience::{eventually, milliseconds};
use crate::processes;
use crate::python::{self, Program};
use crate::run::{fpprof, record, start};

/// What a program forks by ctypes, which tells CPython nothing of it. It ends with its parent.
fn forked(interpreter: &TestInterpreter, by_main: bool, does: &str) -> (Program, String) {
    let call = if by_main { "parent()" } else { "threading.Thread(target=parent_when_told).start()" };
    let code = format!(
        "
import ctypes, os, threading
libc = ctypes.PyDLL(None)
def child():
    libc.prctl(1, 9)
    print(os.getpid(), flush=True)
    {does}
def parent():
    pid = libc.fork()
    if pid == 0: child()
    os.waitpid(pid, 0)
def parent_when_told():
    os.read(0, 1)
    parent()
print('ready', flush=True)
{call}"
    );
    let mut program = Program::start(interpreter, &code);
    if !by_main {
        // A child has every lock as it was: one that its parent's first thread holds for a moment is held for ever.
        let main = program.pid();
        let is_in = |tid: i32, call: i64| processes::is_in_call(main, tid, call);
        eventually("both threads wait", || {
            let others = other_threads(main);
            is_in(main, libc::SYS_futex) && !others.is_empty() && others.iter().all(|tid| is_in(*tid, libc::SYS_read))
        });
        program.say("g");
    }
    let pid = program.line();
    (program, pid)
}

/// The threads of a process but the first.
fn other_threads(pid: i32) -> Vec<i32> {
    processes::threads(pid).into_iter().filter(|tid| *tid != pid).collect()
}

const SPINS: &str = "while True: pass";
const WAITS: &str = "os.read(libc.eventfd(0, 0), 8)";

#[test]
fn a_child_that_native_code_has_forked_and_that_waits() {
    for (interpreter, by_main) in interpreters::without_jit().iter().flat_map(|i| [(i, true), (i, false)]) {
        let (_parent, pid) = forked(interpreter, by_main, WAITS);
        let child = pid.parse().expect("it is a number");
        eventually("the child waits", || processes::is_in_call(child, child, libc::SYS_read));
        let dump = fpprof(&["dump", "--pid", &pid]);
        let said = format!("{} by main {by_main}: {dump:?}", interpreter.name);
        assert_eq!(dump.code, 0, "{said}");
        assert!(dump.stdout.contains("child (<string>:7)") && dump.stdout.contains("parent (<string>:10)"), "{said}");
        assert!(!dump.stdout.contains("not Python's") && !dump.stdout.contains("[stack incomplete"), "{said}");
    }
}

#[test]
fn a_child_that_native_code_has_forked_is_sampled_in_every_mode() {
    for (interpreter, by_main) in [(python::newest(), true), (python::shared(), false)] {
        for (mode, does) in [("cpu", SPINS), ("gil", SPINS), ("wall", SPINS), ("wall", WAITS)] {
            let (_parent, pid) = forked(&interpreter, by_main, does);
            let ended = record(&["-d", "1", "-r", "200", "--mode", mode, "-o", "o.txt", "-p", &pid]);
            ended.assert_leads_through(&[";child (<string>:7)"]);
        }
    }
}

/// Its first thread ends when it is told to, and another one works on until the end of standard input.
fn without_first_thread(interpreter: &TestInterpreter) -> Program {
    let code = concat!(
        "
import ctypes, os, threading
",
        python::outer_and_inner!(),
        "def wait_for_the_end():
    told.wait()
    os.read(0, 1)
    os._exit(7)
told = threading.Event()
for function in outer, wait_for_the_end: threading.Thread(target=function).start()
print('ready', flush=True)
os.read(0, 1)
told.set()
ctypes.CDLL(None).pthread_exit(None)"
    );
    Program::start(interpreter, code)
}

fn end_first_thread(program: &mut Program) {
    program.say("g");
    eventually("the first thread has ended", || processes::state(program.pid()) == 'Z');
}

#[test]
fn a_process_whose_first_thread_has_ended_before() {
    for interpreter in interpreters::without_jit() {
        let name = &interpreter.name;
        let mut program = without_first_thread(&interpreter);
        end_first_thread(&mut program);
        let pid = program.pid_text();
        for command in [&["dump", "--pid", &pid][..], &["doctor", "--pid", &pid]] {
            let ended = fpprof(command);
            assert_eq!(ended.code, 0, "{name}: {ended:?}");
            assert!(command[0] == "doctor" || ended.stdout.contains("outer (<string>:8)"), "{name}: {ended:?}");
        }
        let ended = record(&["-d", "1", "-r", "200", "--mode", "cpu", "-o", "o.txt", "-p", &pid]);
        ended.assert_leads_through(&["outer (<string>:8)", "inner (<string>:"]);
        assert_eq!(program.end().code(), Some(7), "{name}: it is what it was");
    }
}

#[test]
fn a_process_whose_first_thread_ends_during_a_recording() {
    for interpreter in [python::newest(), python::shared()] {
        let mut program = without_first_thread(&interpreter);
        let running = start(&["-r", "200", "-o", "o.txt", "-p", &program.pid_text()]);
        running.wait_until_sampling(program.pid());
        end_first_thread(&mut program);
        // Its work from here on is most of what is recorded.
        let cpu_time = |tid: i32| processes::thread_cpu_time(program.pid(), tid);
        let worker = other_threads(program.pid()).into_iter().max_by_key(|tid| cpu_time(*tid)).expect("it works");
        let until = cpu_time(worker) + milliseconds(1_000) * 1_000_000;
        eventually("the worker works", || cpu_time(worker) > until);
        assert_eq!(program.end().code(), Some(7));
        let ended = running.wait();
        assert!(ended.stderr.contains("fpprof: the target has ended"), "{ended:?}");
        ended.assert_leads_through(&["outer (<string>:8)", "inner (<string>:"]);
    }
}

/// The program that one of the other threads makes of the process has a first thread again.
#[test]
fn a_process_without_its_first_thread_that_becomes_another_program() {
    let code = format!(
        "
import ctypes, os, sys, threading
def again():
    told.wait()
    os.read(0, 1)
    os.execv(sys.executable, [sys.executable, '-c', {:?}])
told = threading.Event()
threading.Thread(target=again).start()
print('ready', flush=True)
os.read(0, 1)
told.set()
ctypes.CDLL(None).pthread_exit(None)",
        python::BUSY
    );
    let mut program = Program::start(&python::newest(), &code);
    end_first_thread(&mut program);
    let running = start(&["-r", "200", "-o", "o.txt", "-p", &program.pid_text()]);
    running.wait_until_sampling(program.pid());
    program.say("g");
    assert_eq!(program.line(), "ready", "the second program");
    processes::let_work(program.pid(), 500);
    assert!(program.end().success());
    let ended = running.wait();
    assert!(ended.recorded().contains("outer (<string>:"), "{ended:?}");
}
