//! Names that a terminal would obey, that turn text around or that are markup: in no output and no message are they more than text.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Stdio};

use nix::pty::openpty;
use serde_json::Value;

use crate::processes::assert_untouched;
use crate::python::{self, Program};
use crate::run::{Ended, FPPROF, Scratch, start_command};

/// Escapes (erase the screen, set the title), control characters of C0 and C1, marks and isolates of the reading direction, and markup.
const ODD: &str = "\x1b[2J\x1b]0;t\x07\u{9b}31m\x08\x7f\u{202e}\u{2066}\u{200f}\u{61c}</script><b>&\"'\\";

/// A program with such a name, such a function, such a thread, such a file and such an argument.
const PROGRAM: &str = "
import sys, threading, os
odd = sys.argv[1]
def work():
    while True: sum(range(9999))
work.__code__ = work.__code__.replace(co_name='f' + odd, co_qualname='f' + odd, co_filename='/nowhere/' + odd.replace('/', '') + '.py')
threading.Thread(target=work, daemon=True, name='t' + odd).start()
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
print('ready', flush=True)
with open('/proc/self/comm', 'w') as comm: comm.write('\\x1b[2J\\u202e')
work()
";

/// Checks that a text has nothing in it that is more than text.
#[track_caller]
fn assert_neutral(what: &str, text: &str) {
    let is_odd = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(at) = text.find(is_odd) {
        let from = text.floor_char_boundary(at.saturating_sub(60));
        panic!("{what}: {:?}", &text[from..text.ceil_char_boundary(at + 60)]);
    }
}

fn odd_program(folder: &Scratch) -> Program {
    let mut command = python::shared().command();
    let script = folder.path().join(OsStr::new(&format!("s{}.py", ODD.replace('/', ""))));
    fs::write(&script, PROGRAM).unwrap();
    command.arg(script).arg(ODD);
    let mut program = Program::spawn(command);
    assert_eq!(program.line(), "ready");
    program
}

fn run(arguments: &[&OsStr]) -> Ended {
    let mut command = Command::new(FPPROF);
    command.args(arguments);
    start_command(command, Scratch::new()).wait()
}

fn texts<'a>(arguments: &[&'a str]) -> Vec<&'a OsStr> {
    arguments.iter().map(|argument| OsStr::new(*argument)).collect()
}

#[test]
fn they_are_text_in_every_output() {
    let folder = Scratch::new();
    let target = odd_program(&folder);
    let pid = target.pid_text();
    let recording = folder.path().join(OsStr::new(&format!("run{}.fpprof", ODD.replace('/', ""))));
    let common = ["--max-overhead", "none", "-t", "--states", "-d", "600ms", "-p", &pid, "-o"];
    let ended = run(&[&texts(&["record"])[..], &texts(&common)[..], &[recording.as_os_str()]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_neutral("record", &ended.stderr);
    for format in ["flamegraph", "flamechart", "html", "collapsed", "speedscope", "firefox", "chrometrace", "jsonl"] {
        let shown = run(&[
            &[OsStr::new("report"), recording.as_os_str()],
            &texts(&["-f", format, "-o", "-", "-t", "--states"])[..],
        ]
        .concat());
        assert_eq!(shown.code, 0, "{format}: {shown:?}");
        assert!(format != "collapsed" || shown.stdout.contains("f\u{fffd}[2J"), "the name is there: {shown:?}");
        assert_neutral(format, &shown.stdout);
        assert_neutral(format, &shown.stderr);
        match format {
            "speedscope" | "firefox" | "chrometrace" => drop(serde_json::from_str::<Value>(&shown.stdout).unwrap()),
            "jsonl" => shown.stdout.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap())),
            "flamegraph" | "flamechart" | "html" => assert!(!shown.stdout.contains("<b>"), "{format}"),
            _ => {}
        }
    }
    let change = |more: &[&str]| {
        run(&[&[OsStr::new("diff"), recording.as_os_str(), recording.as_os_str()], &texts(more)[..]].concat())
    };
    for more in [&["--all"][..], &["-f", "json"], &["-f", "flamegraph", "-o", "-"]] {
        let shown = change(more);
        assert_eq!(shown.code, 0, "{more:?}: {shown:?}");
        assert_neutral("diff", &(shown.stdout + &shown.stderr));
    }
    let [case, report] = ["case.json", "report.json"].map(|name| folder.path().join(name));
    for arguments in [
        &["dump", "--locals", "-p", &pid][..],
        &["dump", "--json", "--locals", "-p", &pid],
        &["doctor", "--pid", &pid, "--snapshot", &case.to_string_lossy()],
        &["doctor", "--json", "--pid", &pid],
        &["bug-report", "--pid", &pid, "-o", &report.to_string_lossy()],
    ] {
        let shown = run(&texts(arguments));
        assert_eq!(shown.code, 0, "{arguments:?}: {shown:?}");
        assert_neutral(arguments[0], &(shown.stdout + &shown.stderr));
    }
    for file in [case, report] {
        let text = fs::read_to_string(file).unwrap();
        assert_neutral("a file", &text);
        serde_json::from_str::<Value>(&text).unwrap();
    }
    assert_untouched(target.pid());
}

#[test]
fn colours_are_all_that_a_terminal_is_told() {
    let folder = Scratch::new();
    let target = odd_program(&folder);
    let shown = run(&texts(&["dump", "--locals", "--color", "always", "-p", &target.pid_text()]));
    assert!(shown.stdout.contains("\x1b[48;"), "{shown:?}");
    let mut plain = String::new();
    for (index, part) in shown.stdout.split('\x1b').enumerate() {
        let part = if index == 0 { part } else { part.split_once('m').expect("a colour").1 };
        plain.push_str(part);
    }
    assert_neutral("dump", &plain);
    let codes = shown.stdout.split("\x1b[").skip(1).map(|part| part.split_once('m').expect("a colour").0);
    assert!(codes.into_iter().all(|code| code.chars().all(|c| c.is_ascii_digit() || c == ';')), "{shown:?}");
}

#[test]
fn they_are_text_in_every_refusal() {
    let odd = ODD.replace('/', "");
    let not_text = OsString::from_vec([odd.as_bytes(), b"\x9b\xff"].concat());
    for odd in [OsStr::new(&odd), not_text.as_os_str()] {
        let with = |before: &str, after: &str| {
            OsString::from_vec([before.as_bytes(), odd.as_bytes(), after.as_bytes()].concat())
        };
        let [output, recording] = [with("nowhere/", ".svg"), with("", ".fpprof")];
        for arguments in [
            &[OsStr::new("record"), OsStr::new("-o"), &output, OsStr::new("-p"), OsStr::new("1")][..],
            &[OsStr::new("record"), OsStr::new("-p"), odd],
            &[OsStr::new("record"), OsStr::new("-f"), odd, OsStr::new("-p"), OsStr::new("1")],
            &[OsStr::new("record"), OsStr::new("--"), odd],
            &[OsStr::new("report"), &recording],
            &[OsStr::new("diff"), &recording, &recording],
            &[OsStr::new("doctor"), odd],
            &[OsStr::new("dump"), OsStr::new("--from"), odd],
            &[OsStr::new("man"), odd],
            &[odd],
        ] {
            let ended = run(arguments);
            assert_ne!(ended.code, 0, "{ended:?}");
            assert!(ended.stderr.lines().count() > 1, "{ended:?}");
            assert_neutral(&format!("{arguments:?}"), &(ended.stdout + &ended.stderr));
        }
    }
}

/// What clap says of a command line has colours there, among which what was typed would be.
#[test]
fn a_terminal_is_told_nothing_either() {
    for arguments in [&["record", "-p", ODD][..], &["record", "-o", ODD, "--mode", ODD], &["report", ODD], &[ODD]] {
        let pty = openpty(None, None).unwrap();
        let mut command = Command::new(FPPROF);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(pty.slave);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut said = Vec::new();
        // When nobody has the terminal open any more, reading gives EIO.
        let _ = File::from(pty.master).read_to_end(&mut said);
        assert!(!child.wait().unwrap().success());
        let said = String::from_utf8(said).unwrap().replace("\r\n", "\n");
        assert!(said.contains("31m"), "what was typed is there: {said:?}");
        assert_neutral("a terminal", &said);
    }
}

#[test]
fn a_line_in_a_name_is_no_line_of_a_message() {
    let ended = run(&texts(&["report", "x\nfpprof: wrote x.svg\n"]));
    assert!(ended.stderr.starts_with("fpprof: x fpprof: wrote x.svg : the file cannot be read"), "{ended:?}");
}
