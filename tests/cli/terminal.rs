//! The live line: on a terminal only, and gone at the end.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::sys::termios::{FlowArg, tcflow};

use crate::patience::eventually;
use crate::processes::assert_untouched;
use crate::python::{self, BUSY, Program};
use crate::run::{FPPROF, Scratch, record};

/// What fpprof writes to a terminal.
fn on_a_terminal(arguments: &[&str]) -> String {
    let scratch = Scratch::new();
    let pty = openpty(None, None).unwrap();
    let terminal = File::from(pty.slave);
    let mut child = Command::new(FPPROF)
        .arg("record")
        .args(arguments)
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal)
        .spawn()
        .unwrap();
    let mut text = Vec::new();
    // When nobody has the terminal open any more, reading gives EIO.
    let _ = File::from(pty.master).read_to_end(&mut text);
    assert!(child.wait().unwrap().success());
    String::from_utf8(text).unwrap()
}

/// What a terminal shows of a line that was written over again and again.
fn visible(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut shown = String::new();
        for part in line.trim_end_matches('\r').split('\r') {
            // `ESC [ K` erases from where it stands to the end of the line.
            let part = part.strip_prefix("\x1b[K").inspect(|_| shown.clear()).unwrap_or(part);
            match part.strip_suffix("\x1b[K") {
                Some(kept) => shown = kept.to_owned(),
                None => shown.replace_range(..part.len().min(shown.len()), part),
            }
        }
        shown
    };
    text.split('\n').map(line).collect()
}

#[test]
fn a_terminal_has_a_live_line_that_is_gone_at_the_end() {
    let target = Program::start(&python::newest(), BUSY);
    let text = on_a_terminal(&["-d", "900ms", "-o", "o.txt", "-p", &target.pid_text()]);
    let live: Vec<&str> = text.split('\r').filter(|part| part.contains("recording 0.")).collect();
    assert!(live.len() >= 2, "{text:?}");
    assert!(live.iter().all(|line| line.contains(" of 0.9 s: ") && line.contains("/s")), "{text:?}");
    let visible = visible(&text);
    assert!(visible.iter().all(|line| !line.contains("recording 0.")), "{visible:?}");
    assert!(visible[0].starts_with("fpprof: what is recorded is kept in o.txt.partial.fpprof"), "{visible:?}");
    assert!(visible[1].starts_with("fpprof: wrote o.txt"), "{visible:?}");
    assert_untouched(target.pid());
    let text = on_a_terminal(&["--hideprogress", "-d", "900ms", "-o", "o.txt", "-p", &target.pid_text()]);
    assert!(!text.contains('\x1b') && !text.contains("recording 0."), "{text:?}");
}

#[test]
fn a_terminal_that_is_held_holds_no_recording_up() {
    let target = Program::start(&python::newest(), BUSY);
    let scratch = Scratch::new();
    let pty = openpty(None, None).unwrap();
    // What Ctrl-S does.
    tcflow(&pty.slave, FlowArg::TCOOFF).unwrap();
    let mut child = Command::new(FPPROF)
        .args(["record", "-d", "900ms", "-o", "o.txt", "-p", &target.pid_text()])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(pty.slave.try_clone().unwrap())
        .spawn()
        .unwrap();
    let output = scratch.path().join("o.txt");
    eventually("the profile is written", || fs::metadata(&output).is_ok_and(|metadata| metadata.len() > 0));
    tcflow(&pty.slave, FlowArg::TCOON).unwrap();
    drop(pty.slave);
    let mut text = Vec::new();
    let _ = File::from(pty.master).read_to_end(&mut text);
    assert!(child.wait().unwrap().success());
    assert!(String::from_utf8_lossy(&text).contains("wrote o.txt"), "what was held is said in the end");
    assert_untouched(target.pid());
}

#[test]
fn a_pipe_has_none() {
    let target = Program::start(&python::newest(), BUSY);
    let ended = record(&["-d", "600ms", "-o", "o.txt", "-p", &target.pid_text()]);
    assert!(!ended.stderr.contains(['\r', '\x1b']), "{ended:?}");
    for fact in [
        "wrote o.txt: open it with",
        "samples: ",
        "stacks: ",
        "target stopped: ",
        "; stops came after ",
        "fpprof's own CPU time: ",
    ] {
        assert!(ended.stderr.contains(fact), "{fact:?} is missing in {ended:?}");
    }
    assert_eq!(ended.stdout, "");
}
