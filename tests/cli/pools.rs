//! Workers that live for a moment, and programs that a shell joins by a pipe.
//!
//! The truth is the kernel's account of the children that have been waited for (getrusage(2), `RUSAGE_CHILDREN`).

use crate::many_processes::widths;
use crate::patience::milliseconds;
use crate::python;
use crate::run::{Scratch, record};

const WORK: &str = "
import os, resource, sys, time
def work(millis):
    while time.process_time() < millis / 1000:
        n = 0
        for i in range(20000): n += i
def say(*words): os.write(1, (' '.join(map(str, words)) + '\\n').encode())
";

fn python3() -> String {
    python::shared().command().get_program().to_string_lossy().into_owned()
}

fn script(scratch: &Scratch, name: &str, text: &str) -> String {
    let path = scratch.path().join(name);
    std::fs::write(&path, format!("{WORK}{text}")).expect("the folder is ours");
    path.to_string_lossy().into_owned()
}

#[test]
fn workers_that_live_for_a_moment_have_the_time_of_the_kernel_s_account() {
    let scratch = Scratch::new();
    let path = script(
        &scratch,
        "pool.py",
        "
import multiprocessing
if __name__ == '__main__':
    context = multiprocessing.get_context('fork')
    for _ in range(10):
        pair = [context.Process(target=work, args=(300,)) for _ in range(2)]
        for worker in pair: worker.start()
        for worker in pair: worker.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    say(os.getpid(), used.ru_utime + used.ru_stime)
",
    );
    let ended = record(&["-s", "-o", "o.txt", "--", &python3(), &path]);
    let (pid, used) = ended.stdout.trim().split_once(' ').expect("an id and seconds");
    let (pid, used): (i32, f64) = (pid.parse().expect("an id"), used.parse().expect("a number"));
    let mut widths = widths(ended.recorded());
    widths.remove(&pid);
    let seen: f64 = widths.values().sum();
    println!("{seen} s of {used} s: {:.1} %", 100.0 * seen / used);
    assert_eq!(widths.len(), 20, "{ended:?}");
    assert!((0.9 * used..1.1 * used).contains(&seen), "{seen} s of {used} s: {ended:?}");
}

#[test]
fn both_ends_of_a_shell_s_pipe_are_recorded() {
    let scratch = Scratch::new();
    let millis = milliseconds(600);
    let first = script(&scratch, "first.py", &format!("work({millis}); say(os.getpid(), time.process_time())"));
    let second = script(
        &scratch,
        "second.py",
        &format!(
            "said = sys.stdin.read(); work({millis}); os.write(1, said.encode()); say(os.getpid(), time.process_time())"
        ),
    );
    let pipe = format!("\"$0\" {first} | \"$0\" {second}");
    let ended = record(&["-s", "-o", "o.txt", "--", "sh", "-c", &pipe, &python3()]);
    let widths = widths(ended.recorded());
    let said: Vec<(i32, f64)> = ended
        .stdout
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(pid, cpu)| (pid.parse().expect("an id"), cpu.parse().expect("a number")))
        .collect();
    assert_eq!(said.len(), 2, "{ended:?}");
    for ((pid, cpu), name) in said.into_iter().zip(["first.py", "second.py"]) {
        let width = widths.get(&pid).copied().unwrap_or(0.0);
        assert!((0.85 * cpu..1.5 * cpu + 0.3).contains(&width), "{pid}: {width} s of {cpu}: {ended:?}");
        assert!(ended.stacks().iter().any(|stack| stack.starts_with(&format!("{name} ({pid});"))), "{ended:?}");
    }
}
