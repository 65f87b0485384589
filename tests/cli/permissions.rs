//! Targets that the system does not let us read: the message names the reason and the remedy.
//!
//! Yama's settings are not among them: they belong to the whole machine, and are tested where they are told apart.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::sys::ptrace;
use nix::unistd::Pid;

use crate::executables;
use crate::patience::{eventually, milliseconds};
use crate::processes::{self, assert_untouched};
use crate::python::{self, BUSY, Program};
use crate::run::{Ended, FPPROF, Scratch, start_command};

/// The user and group that own nothing.
const NOBODY: &str = "65534";

/// Runs `fpprof record` through `setpriv` with these switches.
fn record_as<S: AsRef<OsStr>>(setpriv: &[S], pid: i32) -> Ended {
    let time = format!("{}ms", milliseconds(500));
    run_as(setpriv, &["record", "-d", &time, "-o", "o.txt", "-p", &pid.to_string()])
}

/// Runs fpprof through `setpriv` with these switches, from a copy that any user can reach.
pub fn run_as<S: AsRef<OsStr>>(setpriv: &[S], arguments: &[&str]) -> Ended {
    let program = Scratch::new();
    let copy = program.path().join("fpprof");
    executables::copy(Path::new(FPPROF), &copy);
    let open_to_all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(program.path(), open_to_all).unwrap();
    let mut command = Command::new("setpriv");
    command.args(setpriv).arg(copy).args(arguments);
    let folder = Scratch::new();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    start_command(command, folder).wait()
}

pub fn as_nobody() -> Vec<String> {
    vec![format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()]
}

/// Runs the newest interpreter as the user who owns nothing, who can reach it in its own root.
pub fn of_nobody() -> Command {
    let newest = python::newest();
    let run = newest.command();
    let arguments: Vec<_> = run.get_args().collect();
    let (root, program) = match arguments[..] {
        [root, program] => (root, program),
        _ => ("/".as_ref(), run.get_program()),
    };
    let mut command = Command::new("chroot");
    // chroot(2) needs root: chroot(1) changes the user, and the program may be read again after its exec.
    command.arg(format!("--userspec={NOBODY}:{NOBODY}")).args([root, program]);
    command
}

#[test]
fn the_process_of_another_user() {
    let target = Program::start(&python::newest(), BUSY);
    let ended = record_as(&as_nobody(), target.pid());
    ended.assert_refused(&["it belongs to user 0", "fpprof runs as user 65534", "sudo fpprof"]);
    assert_untouched(target.pid());
}

#[test]
fn an_unprivileged_user_records_processes_of_its_own() {
    let target = Program::start_command(of_nobody(), BUSY);
    let ended = record_as(&as_nobody(), target.pid());
    assert!(ended.recorded().contains(";inner (<string>:"), "{ended:?}");
    assert_untouched(target.pid());
}

#[test]
fn a_process_with_another_group() {
    let target = Program::start_command(of_nobody(), BUSY);
    let ended = record_as(&["--reuid=65534", "--regid=1", "--clear-groups"], target.pid());
    ended.assert_refused(&["it runs with group 65534, and fpprof with group 1", "--regid 65534"]);
    assert_untouched(target.pid());
}

#[test]
fn a_process_that_is_not_dumpable() {
    let made_so = "import ctypes; ctypes.CDLL(None).prctl(4, 0)\n";
    let target = Program::start_command(of_nobody(), &format!("{made_so}{BUSY}"));
    let said = ["it is not dumpable", "PR_SET_DUMPABLE", "sudo fpprof", "SYS_PTRACE"];
    record_as(&as_nobody(), target.pid()).assert_refused(&said);
    // One that was root looks the same.
    let was_root = "import os; os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n";
    let dropped = Program::start(&python::newest(), &format!("{was_root}{BUSY}"));
    record_as(&as_nobody(), dropped.pid()).assert_refused(&said);
    let ended = record_as(&["--reuid=0"], dropped.pid());
    assert!(ended.recorded().contains(";inner (<string>:"), "{ended:?}");
    assert_untouched(target.pid());
}

#[test]
fn a_process_outside_of_the_user_namespace() {
    let target = Program::start_command(of_nobody(), BUSY);
    let mut switches = as_nobody();
    switches.extend(["unshare", "--user", "--map-root-user"].map(str::to_owned));
    let ended = record_as(&switches, target.pid());
    ended.assert_refused(&["outside of fpprof's user namespace", "run it where the process was started"]);
    assert!(!ended.stderr.contains("sudo"), "it is root already: {ended:?}");
    assert_untouched(target.pid());
}

#[test]
fn itself() {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" dump --pid $$", FPPROF]);
    start_command(command, Scratch::new()).wait().assert_refused(&["it is fpprof itself", "pgrep -af python"]);
}

#[test]
fn root_without_the_capability() {
    let target = Program::start(&python::newest(), BUSY);
    let ended = record_as(&["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"], target.pid());
    ended.assert_refused(&["as root, but without the capability CAP_SYS_PTRACE", "--cap-add SYS_PTRACE"]);
    assert_untouched(target.pid());
}

#[test]
fn a_process_that_another_program_traces() {
    let target = Program::start(&python::newest(), BUSY);
    let pid = Pid::from_raw(target.pid());
    // This thread is the tracer until it lets go.
    ptrace::seize(pid, ptrace::Options::empty()).unwrap();
    let ended = crate::run::record(&["-d", "300ms", "-o", "o.txt", "-p", &target.pid_text()]);
    ended.assert_refused(&["it is traced by", &format!("(process {})", std::process::id()), "at most one tracer"]);
    assert_eq!(processes::tracer(target.pid()), nix::unistd::gettid().as_raw(), "the tracer is left alone");
    ptrace::interrupt(pid).unwrap();
    nix::sys::wait::waitpid(pid, None).unwrap();
    ptrace::detach(pid, None).unwrap();
    eventually("it runs on", || processes::state(target.pid()) == 'R');
}

/// A security module can refuse the root of a process that may be traced; strace(1) answers in its place here.
#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "there is no strace in the emulated machine")]
fn a_root_that_cannot_be_followed_costs_files_and_no_frames() {
    let folder = Scratch::new();
    let script = folder.path().join("named_by_the_target.py");
    std::fs::write(&script, "print('ready', flush=True)\nwhile True:\n    sum(range(10_000))\n").unwrap();
    let mut command = python::shared().command();
    command.arg(&script);
    let mut target = Program::spawn(command);
    assert_eq!(target.line(), "ready");
    let pid = target.pid_text();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "signal=none", "-o", "/dev/null", "-e", "inject=openat:error=EACCES"]);
        command.args(["-P", &format!("/proc/{pid}/root"), FPPROF]).args(arguments).args(["-p", &pid]);
        let ended = start_command(command, Scratch::new()).wait();
        assert_eq!(ended.code, 0, "{ended:?}");
        let words =
            format!("fpprof: warning: the root directory of process {pid} cannot be followed (Permission denied");
        assert!(ended.stderr.contains(&words), "{}", ended.stderr);
        ended
    };
    let dumped = run(&["dump", "--native", "all"]);
    for name in ["    <module> (", "    _PyEval_EvalFrameDefault (", "    Py_BytesMain ("] {
        assert!(dumped.stdout.contains(name), "{name}: {}", dumped.stdout);
    }
    assert!(!dumped.stdout.contains("stack incomplete"), "{}", dumped.stdout);
    let page = run(&["record", "--max-overhead", "none", "-d", "500ms", "-f", "html", "-o", "-"]);
    assert!(page.stdout.contains("named_by_the_target.py") && !page.stdout.contains("sum(range(10_000))"));
    assert_untouched(target.pid());
}

#[test]
fn of_several_processes_those_that_may_be_read_are_recorded_and_the_others_named() {
    let unique = format!("fpprof-some-{}", std::process::id());
    let code = format!("{BUSY}\n# {unique}");
    let own = Program::start_command(of_nobody(), &code);
    let others = Program::start(&python::newest(), &code);
    let time = format!("{}ms", milliseconds(4000));
    let ended =
        run_as(&as_nobody(), &["record", "--max-overhead", "none", "--name", &unique, "-d", &time, "-o", "o.txt"]);
    let output = ended.recorded();
    assert!(output.contains(";inner (<string>:"), "{ended:?}");
    assert!(!output.contains(&format!("({})", others.pid())), "{ended:?}");
    let named = ended.stderr.lines().find(|line| line.starts_with("  not recorded: process "));
    assert!(named.is_some_and(|line| line.contains(&others.pid_text())), "{ended:?}");
    [&own, &others].into_iter().for_each(|target| assert_untouched(target.pid()));
}

#[test]
fn a_dump_of_processes_that_may_not_be_read_says_why() {
    let unique = format!("fpprof-none-{}", std::process::id());
    let other = Program::start(&python::newest(), &format!("{BUSY}\n# {unique}"));
    let ended = run_as(&as_nobody(), &["dump", "--name", &unique]);
    ended.assert_refused(&["none of the chosen processes can be read", "fpprof doctor --pid"]);
    assert_untouched(other.pid());
}
