//! `fpprof top`: on a real terminal, with a real target, keys, sizes and endings.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::pty::{Winsize, grantpt, openpty, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::executables;
use crate::patience::{eventually, patience};
use crate::permissions::as_nobody;
use crate::processes::{self, assert_untouched};
use crate::python::{self, BUSY, IDLE, Program};
use crate::run::{FPPROF, Scratch, fpprof};

/// `fpprof top` on a terminal of its own.
pub struct Top {
    child: Child,
    terminal: File,
    screen: Arc<Mutex<vt100::Parser>>,
    scratch: Scratch,
    was_cooked: bool,
}

impl Top {
    fn start(arguments: &[&str]) -> Top {
        let mut command = Command::new(FPPROF);
        command.arg("top").args(arguments);
        Top::run(command)
    }

    /// Runs a command that runs `fpprof top` in the end.
    pub fn run(mut command: Command) -> Top {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a terminal can be made");
        let scratch = Scratch::new();
        let side = |file: &File| Stdio::from(file.try_clone().expect("it can be duplicated"));
        let slave = File::from(pty.slave);
        command.current_dir(scratch.path()).env_remove("NO_COLOR").env("TERM", "xterm-256color");
        let child = command.stdin(side(&slave)).stdout(side(&slave)).stderr(side(&slave)).spawn().expect("it starts");
        let terminal = File::from(pty.master);
        let was_cooked = is_cooked(&terminal);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(24), cells(80), 0)));
        let (mut output, shown) = (terminal.try_clone().expect("it can be duplicated"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // When nobody has the terminal open any more, reading gives EIO.
            while let Ok(read) = output.read(&mut bytes)
                && read > 0
            {
                shown.lock().expect("nobody panics").process(&bytes[..read]);
            }
        });
        Top { child, terminal, screen, scratch, was_cooked }
    }

    pub fn of(target: &Program, more: &[&str]) -> Top {
        Top::start(&[&["--pid", &target.pid_text()], more].concat())
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn text(&self) -> String {
        self.screen.lock().expect("nobody panics").screen().contents()
    }

    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        let deadline = std::time::Instant::now() + patience();
        while !self.text().contains(words) {
            assert!(std::time::Instant::now() < deadline, "never shown: {words}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn wait_until_gone(&self, words: &str) {
        eventually(&format!("{words} is not shown"), || !self.text().contains(words));
    }

    pub fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    fn resize(&self, rows: u16, columns: u16) {
        let terminal = Stdio::from(self.terminal.try_clone().expect("it can be duplicated"));
        let (rows_text, columns_text) = (rows.to_string(), columns.to_string());
        let status = Command::new("stty").args(["rows", &rows_text, "cols", &columns_text]).stdin(terminal).status();
        assert!(status.expect("coreutils are there").success());
        self.screen.lock().expect("nobody panics").screen_mut().set_size(cells(rows), cells(columns));
        processes::send(self.child.id() as i32, Signal::SIGWINCH);
    }

    /// Waits for its end, and checks that the terminal is as it was.
    #[track_caller]
    pub fn wait(self) -> (ExitStatus, String) {
        self.wait_for_last("")
    }

    /// The same with words that it leaves on the terminal, which may be read after it has ended.
    #[track_caller]
    fn wait_for_last(mut self, words: &str) -> (ExitStatus, String) {
        let mut status = None;
        eventually("fpprof top ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        assert_eq!(is_cooked(&self.terminal), self.was_cooked, "the terminal is in the mode it was in");
        eventually("the other screen is left", || {
            let screen = self.screen.lock().expect("nobody panics");
            !screen.screen().alternate_screen() && !screen.screen().hide_cursor()
        });
        self.wait_for(words);
        (status.expect("it has ended"), self.text())
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        // Of what a test leaves behind nothing goes on. It may have ended, and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has a size")
}

fn is_cooked(terminal: &File) -> bool {
    let modes = tcgetattr(terminal.as_fd()).expect("it is a terminal").local_flags;
    modes.contains(LocalFlags::ICANON | LocalFlags::ECHO)
}

#[test]
fn it_shows_what_a_process_spends_its_time_with() {
    let target = Program::start(&python::newest(), BUSY);
    // What shows in a second is all there: a build for tests takes longer for a sample than the limits allow.
    let mut top = Top::of(&target, &["--max-overhead", "none"]);
    top.wait_for("inner (<string>:6)");
    top.wait_for("stacks now with inner");
    for words in ["python3.15", "CPython 3.15.", "waits for GIL 0.00", "threads 2", "self▼", "q quit", "? help"] {
        top.wait_for(words);
    }
    // Where others have the CPUs it waits for one most of the time.
    let share = |text: &str| text.split_once("CPU ")?.1.split_once(" (Python ")?.0.parse::<f64>().ok();
    eventually("it has a CPU", || share(&top.text()).is_some_and(|share| (0.01..=1.02).contains(&share)));
    assert!(!top.text().contains("wait_for_the_end"), "it waits: {}", top.text());
    // It opens on functions of Python, with the native time in them.
    assert!(!top.text().contains("native="), "{}", top.text());
    top.press("nn");
    top.wait_for("_start");
    top.wait_for("native=all");
    top.press("n");
    top.wait_until_gone("_start");
    top.wait_until_gone("native=");
    // Without native frames there is room for it.
    top.press("i");
    top.wait_for("wait_for_the_end");
    top.press("i");
    top.wait_until_gone("wait_for_the_end");
    top.press("n");
    top.press("/OUTER\r");
    top.wait_until_gone("inner (<string>:6)");
    top.wait_for("outer (<string>:10)");
    top.press("\x1b");
    top.wait_for("inner (<string>:6)");
    top.press("o");
    top.wait_for("total▼");
    top.press("t");
    top.wait_for(&format!("thread {} ", target.pid()));
    top.press("?");
    top.wait_for("sampling goes on");
    top.press("?q");
    let (status, _) = top.wait();
    assert_eq!(status.code(), Some(0));
    assert_untouched(target.pid());
}

#[test]
fn who_may_not_look_where_threads_wait_is_told_once_that_they_are_stopped() {
    let target = Program::start_reading(&python::newest(), IDLE);
    let program = Scratch::new();
    let copy = program.path().join("fpprof");
    executables::copy(Path::new(FPPROF), &copy);
    std::fs::set_permissions(program.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(as_nobody()).args(["--inh-caps=+sys_ptrace", "--ambient-caps=+sys_ptrace"]);
    command.arg(copy).args(["top", "--idle", "--pid", &target.pid_text()]);
    let mut top = Top::run(command);
    let words = "blocked threads are stopped to be read: no CAP_DAC_READ_SEARCH";
    top.wait_for(words);
    // Any key takes it away, and it does not come again.
    top.press("o");
    top.wait_until_gone(words);
    let ticks = top.text();
    eventually("the screen has news", || top.text() != ticks);
    assert!(!top.text().contains(words), "{}", top.text());
    top.press("q");
    assert!(top.wait().0.success());
    assert_untouched(target.pid());
    let root = Top::of(&target, &["--idle"]);
    root.wait_for("wait");
    assert!(!root.text().contains(words), "{}", root.text());
}

#[test]
fn what_was_seen_can_be_saved() {
    let target = Program::start(&python::newest(), BUSY);
    let mut top = Top::of(&target, &["-r", "200"]);
    top.wait_for("inner (<string>:6)");
    top.press("s");
    top.wait_for("open it with `fpprof report`");
    let files = top.scratch.files();
    let [file] = &files[..] else { panic!("{files:?}") };
    let path = top.scratch.path().join(file);
    let ended = fpprof(&["report", &path.to_string_lossy(), "-f", "collapsed", "--native", "all", "-o", "-"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "nothing is missing: {ended:?}");
    assert!(ended.stdout.contains("inner (<string>:"), "{ended:?}");
    assert!(ended.stdout.contains("_start (python3.15)"), "with names: {ended:?}");
    top.press("q");
    top.wait();
}

#[test]
fn the_screen_stands_still_when_it_is_paused() {
    let target = Program::start(&python::newest(), BUSY);
    let mut top = Top::of(&target, &["--color", "never"]);
    top.wait_for("inner (<string>:6)");
    top.press("p");
    top.wait_for("paused");
    let before = top.text();
    // News comes four times a second.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(top.text(), before);
    top.press("p");
    top.wait_until_gone("paused");
    eventually("it goes on", || top.text() != before);
    top.press("\x03");
    assert_eq!(top.wait().0.code(), Some(0), "Ctrl-C is the end");
}

#[test]
fn it_fits_any_size() {
    let target = Program::start(&python::newest(), BUSY);
    let mut top = Top::of(&target, &[]);
    top.wait_for("inner (<string>:6)");
    for (rows, columns) in [(10, 40), (1, 1), (60, 200), (3, 20)] {
        top.resize(rows, columns);
        top.press("oo");
    }
    top.resize(24, 80);
    top.wait_for("inner (<string>:6)");
    top.wait_for("stacks now");
    top.press("q");
    top.wait();
}

#[test]
fn every_ending_restores_the_terminal() {
    let target = Program::start(&python::newest(), BUSY);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let top = Top::of(&target, &[]);
        top.wait_for("inner (<string>:6)");
        processes::send(top.child.id() as i32, signal);
        assert_eq!(top.wait().0.code(), Some(0), "{signal}");
    }
    assert_untouched(target.pid());
    let mut top = Top::of(&target, &[]);
    top.wait_for("inner (<string>:6)");
    drop(target);
    top.wait_for("the target has ended: s saves what was seen, q quits");
    top.press("s");
    top.wait_for("open it with `fpprof report`");
    top.press("q");
    let (status, text) = top.wait_for_last("fpprof: the target has ended");
    assert!(status.success(), "{text}");
}

#[test]
fn a_program_is_started_and_runs_on() {
    // No name of a function contains it, as `type_ready` does what other programs say.
    const SAID: &str = "said by the program";
    let interpreter = python::shared();
    let code = BUSY
        .replace(
            "threading.Thread(target=wait_for_the_end, daemon=True, name='waiter').start()",
            "threading.Timer(60, os._exit, [0]).start()",
        )
        .replace("print('ready', flush=True)", &format!("print('{SAID}', flush=True)"));
    assert!(code.contains(SAID) && !code.contains("wait_for_the_end,"));
    let mut top = Top::start(&["--", &interpreter.command().get_program().to_string_lossy(), "-c", &code]);
    top.wait_for("inner (<string>:6)");
    assert!(!top.text().contains(SAID), "its output is discarded: {}", top.text());
    top.press("q");
    let (status, text) = top.wait_for_last("` ends it");
    assert!(status.success() && text.contains("runs on as process"), "{text}");
    let pid = text.split_once("`kill ").and_then(|(_, rest)| rest.split('`').next()).expect("it says how to end it");
    processes::send(pid.parse().expect("a number"), Signal::SIGKILL);
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let target = Program::start(&python::newest(), BUSY);
    fpprof(&["top", "--pid", &target.pid_text()]).assert_refused(&["needs a terminal", "fpprof dump", "fpprof record"]);
    assert_untouched(target.pid());
}

#[test]
fn a_terminal_that_is_closed_ends_it() {
    let target = Program::start(&python::newest(), BUSY);
    for keys in ["", "p"] {
        // Nothing that is started meanwhile inherits it, or it would not be closed.
        let terminal = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let slave = File::options().read(true).write(true).open(ptsname_r(&terminal).unwrap()).unwrap();
        let mut terminal = File::from(OwnedFd::from(terminal));
        let scratch = Scratch::new();
        let mut command = Command::new(FPPROF);
        command.args(["top", "--pid", &target.pid_text()]).current_dir(scratch.path());
        let side = || Stdio::from(slave.try_clone().unwrap());
        assert!(Command::new("stty").args(["rows", "24", "cols", "80"]).stdin(side()).status().unwrap().success());
        let mut child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        drop((command, slave));
        let mut shown = vt100::Parser::new(cells(24), cells(80), 0);
        eventually("it shows something", || {
            let mut bytes = [0; 4096];
            let read = terminal.read(&mut bytes).unwrap();
            shown.process(&bytes[..read]);
            shown.screen().contents().contains("inner")
        });
        terminal.write_all(keys.as_bytes()).unwrap();
        drop(terminal);
        let mut status = None;
        eventually("fpprof top ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{keys:?}");
        assert_untouched(target.pid());
    }
}

#[test]
fn a_tree_of_processes_is_shown_together() {
    let code = "
import os, signal
def busy():
    while True: sum(range(9999))
workers = []
for _ in range(2):
    pid = os.fork()
    if pid == 0: busy()
    workers.append(pid)
os.write(1, b'ready\\n')
os.read(0, 1)
for pid in workers: os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
";
    let target = Program::start(&python::shared(), code);
    let mut top = Top::of(&target, &["--subprocesses", "--max-overhead", "none"]);
    top.wait_for("3 processes, ");
    top.wait_for("busy");
    top.press("q");
    assert_eq!(top.wait().0.code(), Some(0));
    target.end();
}
