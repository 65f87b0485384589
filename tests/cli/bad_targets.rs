//! Processes that cannot be recorded, each refused by name and left as it was.

use std::fs;
use std::process::Command;

use crate::executables;
use crate::interpreters::{self, TestInterpreter};
use crate::patience::eventually;
use crate::processes::{self, assert_untouched, let_work};
use crate::python::{self, BUSY, IDLE, Program};
use crate::run::{Scratch, record, start};

fn refused(pid: i32, words: &[&str]) {
    record(&["-d", "1", "-o", "o.svg", "-p", &pid.to_string()]).assert_refused(words);
}

#[test]
fn no_such_process() {
    refused(i32::MAX, &["there is no process 2147483647", "pgrep"]);
}

#[test]
fn a_thread_is_not_a_process() {
    let code = "import threading,time\nt=threading.Thread(target=lambda: __import__('os').read(0,1)); t.start()\n\
        print('ready', flush=True); print(t.native_id, flush=True)";
    let mut target = Program::start(&python::newest(), code);
    let tid: i32 = target.line().parse().unwrap();
    refused(tid, &[&format!("{tid} is a thread of process {}", target.pid()), &format!("--pid {}", target.pid())]);
    assert_untouched(target.pid());
}

#[test]
fn a_program_that_is_not_python() {
    let target = Program::spawn(Command::new("cat"));
    eventually("cat has replaced its parent's copy", || {
        processes::field(target.pid(), "Name").as_deref() == Some("cat")
    });
    refused(target.pid(), &["no CPython runtime was recognised", "/cat", "CPython 3.11 and later"]);
    assert_untouched(target.pid());
    assert!(target.end().success());
}

#[test]
fn a_python_that_is_too_old() {
    let target = Program::start(&interpreters::named("too old"), IDLE);
    refused(target.pid(), &["is too old: 3.11 is the oldest", "Run the program with CPython 3.11 or later"]);
    assert_untouched(target.pid());
}

/// A Python that has executed nothing yet: traced until its exec, and given a SIGSTOP there.
fn stopped_at_its_first_instruction(interpreter: &TestInterpreter, arguments: &[&str]) -> Program {
    use nix::sys::{
        ptrace,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    };
    let run = interpreter.command();
    let mut command = Command::new("sh");
    command.args(["-c", "read go; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args()).args(arguments);
    let mut program = Program::spawn(command);
    let pid = nix::unistd::Pid::from_raw(program.pid());
    ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXEC).unwrap();
    program.say("\n");
    // The shell becomes what runs Python in its root, and that becomes Python.
    loop {
        let status = waitpid(pid, None).unwrap();
        assert!(matches!(status, WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC)), "{status:?}");
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        if program.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"python")) {
            break;
        }
        ptrace::cont(pid, None).unwrap();
    }
    program.signal(Signal::SIGSTOP);
    ptrace::detach(pid, None).unwrap();
    eventually("it is stopped", || processes::state(program.pid()) == 'T');
    program
}

/// A copy of the newest interpreter in its root; removed when dropped.
pub struct Copy {
    inside: std::path::PathBuf,
    outside: std::path::PathBuf,
}

impl Copy {
    pub fn new(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Copy {
        let newest = python::newest();
        let (outside, inside) = newest.scratch();
        let name = format!("fpprof-{}-{name}", std::process::id());
        let mut bytes = fs::read(outside.parent().unwrap().join("usr/bin/python3.15")).unwrap();
        change(&mut bytes);
        let outside = outside.join(&name);
        executables::write(&outside, bytes);
        Copy { inside: inside.join(name), outside }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new("chroot");
        let temporary = self.outside.parent().expect("it is in a folder");
        command.arg(temporary.parent().expect("it is in a root")).arg(&self.inside);
        command
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.outside);
    }
}

#[test]
fn a_python_that_is_newer_than_known_is_recorded_with_a_warning() {
    let copy = Copy::new("python3.16", |bytes| {
        // `_Py_DebugOffsets` begins with a cookie and PY_VERSION_HEX; the code that writes it has the cookie, too.
        let is_table = |at: &[u8]| at.starts_with(b"xdebugpy") && at[10..12] == [15, 3];
        let table = bytes.windows(12).position(is_table).expect("it has debug offsets");
        bytes[table + 10] = 16;
    });
    let target = Program::start_command(copy.command(), BUSY);
    let ended = record(&["-d", "500ms", "-o", "o.txt", "-p", &target.pid_text()]);
    assert!(ended.recorded().contains("outer (<string>:11);inner (<string>:"), "{ended:?}");
    assert!(ended.stderr.contains("warning: CPython 3.16.2 is newer than this fpprof"), "{ended:?}");
    assert_untouched(target.pid());
}

#[test]
fn a_python_that_has_not_started_yet() {
    let child = stopped_at_its_first_instruction(&python::newest(), &[]);
    refused(child.pid(), &["has not initialised its runtime", "let fpprof start it"]);
    assert_eq!(processes::state(child.pid()), 'T');
    assert_untouched(child.pid());
}

#[test]
fn a_python_whose_library_is_not_mapped_yet_is_waited_for() {
    let mut child = stopped_at_its_first_instruction(&python::shared(), &["-c", BUSY]);
    let maps = fs::read_to_string(format!("/proc/{}/maps", child.pid())).unwrap();
    assert!(!maps.contains("libpython"), "{maps}");
    let running = start(&["-o", "o.txt", "-p", &child.pid_text()]);
    eventually("fpprof has looked at it in vain and sleeps before it looks again", || {
        let sleeps = processes::is_in_call(running.pid(), running.pid(), libc::SYS_clock_nanosleep);
        sleeps || processes::state(running.pid()) == 'Z'
    });
    child.signal(nix::sys::signal::Signal::SIGCONT);
    assert_eq!(child.line(), "ready");
    let_work(child.pid(), 100);
    running.signal(nix::sys::signal::Signal::SIGINT);
    let ended = running.wait();
    assert!(ended.recorded().contains("inner (<string>:"), "{ended:?}");
    assert_untouched(child.pid());
}

#[test]
fn a_zombie() {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id() as i32;
    eventually("the child has ended", || processes::state(pid) == 'Z');
    refused(pid, &["is a zombie", "choose a process that is alive"]);
    child.wait().unwrap();
}

#[test]
fn a_kernel_thread() {
    // The parent of all kernel threads; not to be seen from inside a pid namespace.
    if processes::field(2, "Name").as_deref() == Some("kthreadd") {
        refused(2, &["process 2 is a kernel thread", "choose a process"]);
    }
}

#[test]
fn a_32_bit_process() {
    let scratch = Scratch::new();
    let path = scratch.path().join("pause32");
    executables::write(&path, elf32());
    let child = Command::new(&path).spawn();
    let Ok(child) = child else {
        // A kernel without 32-bit emulation refuses to run it: there can be no such target.
        assert_eq!(child.unwrap_err().raw_os_error(), Some(libc::ENOEXEC));
        return;
    };
    let pid = child.id() as i32;
    let _end = KillOnDrop(child);
    refused(pid, &["32-bit", "64-bit programs"]);
    assert_untouched(pid);
}

struct KillOnDrop(std::process::Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The smallest i386 program: `mov $29,%eax; int $0x80` (pause), again and again.
fn elf32() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let halves = |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let words = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    // e_type ET_EXEC, e_machine EM_386; version, entry, program headers behind this header, no sections, flags.
    file.extend(halves(&[2, 3]));
    file.extend(words(&[1, BASE + 84, 52, 0, 0]));
    file.extend(halves(&[52, 32, 1, 0, 0, 0]));
    // PT_LOAD of the whole file, readable and executable.
    let size = 84 + code.len() as u32;
    file.extend(words(&[1, 0, BASE, BASE, size, size, 5, 0x1000]));
    file.extend(code);
    file
}

#[test]
fn pypy() {
    // Not PyPy itself, but any program of its name: the name is what tells it, for it shares no symbol with CPython.
    let copy = Copy::new("pypy3", |_| {});
    let target = Program::start_command(copy.command(), IDLE);
    refused(target.pid(), &["PyPy is not CPython", "vmprof"]);
    assert_untouched(target.pid());
}

#[test]
fn numbers_that_make_no_sense() {
    let target = Program::start(&python::newest(), IDLE);
    let pid = target.pid_text();
    for (switch, value, words) in [
        ("-r", "0", "more than 0"),
        ("--rate", "-5", "more than 0"),
        ("-r", "1e9", "at most"),
        ("-r", "NaN", "more than 0"),
        ("-r", "inf", "more than 0"),
        ("-r", "fast", "not a number"),
        ("-d", "0", "more than no time"),
        ("-d", "0s", "more than no time"),
        ("-d", "-1", "write seconds"),
        ("-d", "5x", "write seconds"),
        ("-d", "99999999999999999999h", "longer than can be counted"),
        ("-f", "perfscript", "flamegraph, flamechart"),
        ("--mode", "sideways", "cpu, wall, gil"),
    ] {
        let ended = record(&["-o", "o.svg", "--pid", &pid, &format!("{switch}={value}")]);
        assert_eq!(ended.code, 2, "{switch} {value}: {ended:?}");
        assert!(ended.stderr.contains(words) && ended.stderr.contains("--help"), "{switch} {value}: {ended:?}");
        assert!(ended.files.is_empty(), "{ended:?}");
    }
    assert_untouched(target.pid());
}
