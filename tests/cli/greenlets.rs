//! Greenlets: each runs on a piece of the C stack of its own, and what lies outside of that is no caller of its.
//!
//! The truth is what greenlet says: the frames of the one that runs are its own, up to the function that it began with.

use std::process::Command;

use crate::patience::milliseconds;
use crate::processes::assert_untouched;
use crate::python::Program;
use crate::run::{Ended, record};
use crate::servers::installed;

/// One greenlet computes, started by another, which waits.
const NESTED: &str = "
import os, sys, threading
from greenlet import greenlet
def crunch():
    n = 0
    while True: n += 1
def inner(): sorted([1], key=lambda _: crunch())
def starts(): greenlet(inner).switch()
def main(): greenlet(starts).switch()
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
print('ready', flush=True)
main()
";

/// Two greenlets and the main one, that switch all the time, from different depths.
const IN_TURN: &str = "
import os, threading
from greenlet import getcurrent, greenlet
def work(n):
    for _ in range(n): pass
def deep(depth, function): return deep(depth - 1, function) if depth else function()
def one():
    while True: work(600), getcurrent().parent.switch()
def other():
    while True: work(400), deep(5, getcurrent().parent.switch)
first, second = greenlet(one), greenlet(other)
def main():
    while True: first.switch(), deep(20, second.switch), work(200)
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
print('ready', flush=True)
main()
";

fn recorded(code: &str) -> Ended {
    let mut command = Command::new(installed("python3.13"));
    command.args(["-c", code]);
    let mut program = Program::spawn(command);
    assert_eq!(program.line(), "ready");
    let time = format!("{}ms", milliseconds(2000));
    let ended = record(&["-r", "500", "--max-overhead", "none", "-d", &time, "-o", "o.txt", "-p", &program.pid_text()]);
    assert_untouched(program.pid());
    program.end();
    ended
}

#[test]
fn the_stack_of_a_greenlet_ends_where_it_began() {
    let ended = recorded(NESTED);
    let stacks: Vec<&str> = ended.stacks().into_iter().filter(|stack| stack.contains(";crunch (")).collect();
    assert!(stacks.len() > 5, "{ended:?}");
    assert!(stacks.iter().all(|stack| stack.starts_with("inner (<string>:")), "{ended:?}");
    assert!(!stacks.iter().any(|stack| stack.contains("stack incomplete")), "{ended:?}");
}

#[test]
fn no_stack_has_frames_of_two_greenlets() {
    let ended = recorded(IN_TURN);
    let of = |stack: &str| ["one (<string>:", "other (<string>:", "main (<string>:"].map(|name| stack.contains(name));
    let mut seen = [false; 3];
    for stack in ended.stacks() {
        let found = of(stack);
        assert!(found.iter().filter(|found| **found).count() <= 1, "{stack}: {ended:?}");
        seen.iter_mut().zip(found).for_each(|(seen, found)| *seen |= found);
    }
    assert_eq!(seen, [true; 3], "{ended:?}");
}
