//! Real core files for tests: the kernel's, of a program that crashes, and gdb's, of one that goes on.
//!
//! Does: have them written, damage them, and ask gdb what is in them. Does not: use any of fpprof's own code.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::interpreters::TestInterpreter;
use crate::patience::eventually;
use crate::processes;
use crate::python::Program;
use crate::run::Scratch;

/// Threads with values in them, which wait; the main one reads, and crashes when it has read something.
const CRASHING: &str = "
import os, resource, sys, threading
os.chdir(FOLDER)
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
gate = threading.Event()
def work(number, text):
    squares = {n: n * n for n in range(number)}
    gate.wait()
def crash(address):
    import ctypes
    ctypes.string_at(address)
def main():
    for number in range(3):
        threading.Thread(target=work, args=(number, 'x' * number), daemon=True).start()
    print('ready', flush=True)
    os.read(0, 1)
    crash(0x8000)
main()
";

pub fn text(path: &Path) -> &str {
    path.to_str().expect("the tests' paths are UTF-8")
}

/// The core of a process that goes on, by gdb.
pub fn by_gdb(pid: i32, path: &Path) {
    let mut gdb = Command::new("gdb");
    gdb.args(["--batch", "--nx", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]);
    gdb.args(["-iex", "set auto-solib-add off", "-p", &pid.to_string(), "-ex", &format!("gcore {}", text(path))]);
    let said = gdb.stdin(Stdio::null()).output().expect("tests/setup installs gdb");
    assert!(path.exists(), "{}", String::from_utf8_lossy(&said.stderr));
}

/// A folder that an interpreter can write to, as seen from here.
pub struct Shared(PathBuf);

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that can crash, at rest; and the folder into which the kernel would write its core. `None` where cores do not go to the
/// current directory.
pub fn crashing(interpreter: &TestInterpreter) -> Option<(Program, Shared)> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with(['|', '/']) {
        return None;
    }
    let (outside, inside) = interpreter.scratch();
    let own = Scratch::new();
    let name = own.path().file_name().expect("it has a name").to_owned();
    let folder = Shared(outside.join(&name).with_extension("cores"));
    fs::create_dir(&folder.0).expect("the scratch folder can be written");
    let code = CRASHING.replace("FOLDER", &format!("{:?}", inside.join(&name).with_extension("cores")));
    let program = Program::start_reading(interpreter, &code);
    let workers = || processes::threads(program.pid()).into_iter().filter(|tid| *tid != program.pid());
    eventually("the threads wait", || {
        workers().count() == 3 && workers().all(|tid| processes::is_in_call(program.pid(), tid, libc::SYS_futex))
    });
    Some((program, folder))
}

/// The core that the kernel writes when the process ends.
pub fn core_of(program: &Program, folder: &Shared) -> PathBuf {
    eventually("the process ends", || processes::state(program.pid()) == 'Z');
    let files = fs::read_dir(&folder.0).expect("it is there").map(|file| file.expect("it is there").path());
    let mut files: Vec<PathBuf> = files.collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// The same by gdb, of the core of an interpreter that sees the same files as we do.
pub fn frames_by_gdb(core: &Path, document: &Value) -> Vec<(i64, Vec<Option<String>>)> {
    const SCRIPT: &str = "
import gdb, json
threads = []
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame, frames = gdb.newest_frame(), []
    while frame is not None:
        if frame.type() == gdb.NORMAL_FRAME:
            library = gdb.solib_name(frame.pc()) or ''
            is_system = library.startswith(('/lib', '/usr/lib'))
            frames.append(None if is_system else frame.name())
        frame = frame.older()
    threads.append((thread.ptid[1] or thread.ptid[0], frames))
print('stacks: ' + json.dumps(sorted(threads)))
";
    let scratch = Scratch::new();
    let script = scratch.path().join("stacks.py");
    fs::write(&script, SCRIPT).unwrap();
    let mut gdb = Command::new("gdb");
    gdb.args(["--batch", "--nx", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]);
    let program = document["process"]["executable"].as_str().expect("it is known");
    gdb.args(["-ex", "set backtrace past-main on", "-x", text(&script), program, text(core)]);
    let said = gdb.stdin(Stdio::null()).output().expect("tests/setup installs gdb");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let stacks = said.lines().find_map(|line| line.strip_prefix("stacks: ")).unwrap_or_else(|| panic!("{said}"));
    serde_json::from_str(stacks).unwrap_or_else(|error| panic!("{error}: {stacks}"))
}

/// Calls `look` with other bytes in the place of some, each time others, and puts them back. The same seed gives the same bytes.
pub fn damage(file: &File, len: u64, look: impl Fn()) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..40 {
        // The headers and notes; all of it.
        let (count, within) = if round % 2 == 0 { (8, 0x4000) } else { (4096, len) };
        let mut before = Vec::new();
        for _ in 0..count {
            let (at, mut byte) = (next() % within, [0]);
            file.read_exact_at(&mut byte, at).unwrap();
            before.push((at, byte));
            file.write_all_at(&[next() as u8], at).unwrap();
        }
        look();
        before.iter().rev().for_each(|(at, byte)| file.write_all_at(byte, *at).unwrap());
    }
}
