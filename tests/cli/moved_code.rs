//! Code that is not where its file says, or whose file is gone: upgraded and deleted programs, large pages, shared memory.
//!
//! The tests' fpprof has no capability, as a user's has none: it may not use `/proc/PID/map_files`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::patience::eventually;
use crate::permissions::run_as;
use crate::python::{self, BUSY, Program};
use crate::run::Scratch;

/// The switches of setpriv(1) of the same user without any capability.
const INCAPABLE: [&str; 2] = ["--bounding-set=-all", "--inh-caps=-all"];

/// The stacks of a program in a recording that has some, which must all be complete: from the thread's entry to the program's functions.
/// fpprof has no capability for it, and names every native frame.
fn stacks(program: &Program) -> Vec<String> {
    let arguments = ["record", "-d", "500ms", "--native", "all", "-f", "collapsed", "-o", "-", "-p"];
    let pid = program.pid_text();
    let arguments: Vec<&str> = arguments.into_iter().chain([&*pid]).collect();
    let mut stacks = Vec::new();
    // On a full machine a short recording may have no fair moment.
    eventually("it is sampled", || {
        let ended = run_as(&INCAPABLE, &arguments);
        assert_eq!(ended.code, 0, "{ended:?}");
        let is_stack = |line: &&str| line.contains(";outer (<string>:");
        stacks = ended.stdout.lines().filter(is_stack).map(str::to_owned).collect();
        let is_sampled = !ended.stderr.contains("stacks: none");
        assert!(!is_sampled || (ended.stderr.contains(" (100 %)") && !stacks.is_empty()), "{ended:?}");
        is_sampled
    });
    stacks
}

/// A program that takes `how` before it works.
fn incapable(how: &str) -> Command {
    let mut command = Command::new("setpriv");
    let shared = python::shared().command();
    command.args(INCAPABLE).arg(shared.get_program());
    command.args(["-c", &format!("{how}{BUSY}")]);
    command
}

fn start(command: Command) -> Program {
    let mut program = Program::spawn(command);
    assert_eq!(program.line(), "ready");
    program
}

#[test]
fn a_program_and_a_library_that_others_have_replaced() {
    let folder = Scratch::new();
    // Which files they are the program itself shows.
    let shown = Program::start(&python::shared(), BUSY);
    let maps = fs::read_to_string(format!("/proc/{}/maps", shown.pid())).unwrap();
    let library =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("libpython"));
    let library = PathBuf::from(library.expect("its interpreter is in a library"));
    let program = fs::read_link(format!("/proc/{}/exe", shown.pid())).unwrap();
    drop(shown);
    let prefix = program.parent().and_then(Path::parent).expect("it is in a folder of its installation");
    let (program, library) = (&program, &library);
    let copies = [program, library].map(|path| folder.path().join(path.file_name().unwrap()));
    fs::copy(program, &copies[0]).unwrap();
    fs::copy(library, &copies[1]).unwrap();
    let mut command = Command::new("setpriv");
    command.args(INCAPABLE).arg(&copies[0]).env("PYTHONHOME", prefix).env("LD_LIBRARY_PATH", folder.path());
    let target = Program::start_command(command, BUSY);
    let maps = fs::read_to_string(format!("/proc/{}/maps", target.pid())).unwrap();
    assert!(copies.iter().all(|copy| maps.contains(&*copy.to_string_lossy())), "{maps}");
    let all_begin = |stacks: Vec<String>| stacks.iter().all(|stack| stack.contains(";Py_BytesMain ("));
    assert!(all_begin(stacks(&target)));
    // As a package manager does it: another file under the name, then none.
    for copy in &copies {
        let other = folder.path().join("other");
        fs::write(&other, "#!/bin/sh\n").unwrap();
        fs::rename(&other, copy).unwrap();
    }
    assert!(all_begin(stacks(&target)), "replaced");
    copies.iter().for_each(|copy| fs::remove_file(copy).unwrap());
    assert!(all_begin(stacks(&target)), "deleted");
}

#[test]
fn an_interpreter_that_has_moved_its_code_onto_memory_of_its_own() {
    // What programs do for large pages: the same addresses, and no file there any more.
    let onto_anonymous_memory = "
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
word, number = ctypes.c_size_t, ctypes.c_int
for line in open('/proc/self/maps').readlines():
    if 'libpython' not in line or ' r-xp ' not in line: continue
    start, end = (int(part, 16) for part in line.split()[0].split('-'))
    length = word(end - start)
    copy = word(libc.mmap(word(0), length, number(3), number(0x22), number(-1), word(0)))
    ctypes.memmove(copy.value, start, end - start)
    assert libc.mprotect(copy, length, number(5)) == 0
    assert libc.mremap(copy, length, length, number(3), word(start)) == start
";
    let target = start(incapable(onto_anonymous_memory));
    let maps = fs::read_to_string(format!("/proc/{}/maps", target.pid())).unwrap();
    assert!(!maps.lines().any(|line| line.contains("libpython") && line.contains(" r-xp ")), "{maps}");
    let stacks = stacks(&target);
    assert!(stacks.iter().all(|stack| stack.contains(";Py_BytesMain (")), "{stacks:#?}");
}

#[test]
fn code_in_memory_that_programs_can_share() {
    // A function that keeps a frame and calls what it is given, as a JIT may make it: push rbp; mov rbp, rsp; call rdi; pop rbp; ret, and
    // stp x29, x30, [sp, #-16]!; mov x29, sp; blr x0; ldp x29, x30, [sp], #16; ret.
    let through_it = "
import ctypes, mmap, platform
code = bytes.fromhex('554889e5ffd75dc3' if platform.machine() == 'x86_64' else 'fd7bbfa9fd03009100003fd6fd7bc1a8c0035fd6')
page = mmap.mmap(-1, 4096, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
back = ctypes.CFUNCTYPE(None)(lambda: outer())
def through_shared_memory(): call(ctypes.cast(back, ctypes.c_void_p))
";
    let begins = BUSY.strip_suffix("outer()\n").expect("it ends with a call");
    let mut command = Command::new("setpriv");
    command.args(INCAPABLE).arg(python::shared().command().get_program());
    command.args(["-c", &format!("{through_it}{begins}through_shared_memory()\n")]);
    let target = start(command);
    let maps = fs::read_to_string(format!("/proc/{}/maps", target.pid())).unwrap();
    assert!(
        maps.lines().any(|line| line.contains(" rwxs ") && line.contains("/dev/zero")),
        "it has a file's name: {maps}"
    );
    let stacks = stacks(&target);
    let is_whole = |stack: &String| {
        let at = |part: &str| stack.find(part);
        let order = [at("through_shared_memory (<string>:"), at("[code made at run time]"), at(";outer (<string>:")];
        order.is_sorted() && order.iter().all(Option::is_some)
    };
    assert!(stacks.iter().all(is_whole), "{stacks:#?}");
}
