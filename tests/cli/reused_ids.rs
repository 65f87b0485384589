//! Ids of processes that the kernel gives again while they are recorded: each time is of the process that has used it.
//!
//! In a pid namespace of its own, where the id that is given next can be chosen (`/proc/sys/kernel/ns_last_pid`, pid_namespaces(7)).

use std::process::Command;

use crate::patience::milliseconds;
use crate::python;
use crate::run::{Ended, FPPROF, Scratch, start_command};

/// What both programs of a test need: work, an id to order, and a look whether fpprof samples a process.
const BEGINNING: &str = "
import os, signal, subprocess, sys, time
def work(millis):
    while time.process_time() < millis / 1000:
        n = 0
        for i in range(20000): n += i
def cpu_time(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf('SC_CLK_TCK')
def with_id(wanted, run):
    while True:
        with open('/proc/sys/kernel/ns_last_pid', 'w') as last: last.write(str(wanted - 1))
        pid = os.fork()
        if pid == 0:
            if os.getpid() == wanted: run()
            os._exit(0)
        if pid == wanted: return
        os.waitpid(pid, 0)
def is_sampled(by, pid):
    for fd in os.listdir(f'/proc/{by}/fd'):
        try: link = os.readlink(f'/proc/{by}/fd/{fd}')
        except OSError: continue
        if link.startswith(f'/proc/{pid}/task/') and link.endswith('/schedstat'): return True
    return False
def wait_until(is_so):
    while not is_so(): time.sleep(0.005)
";

/// Runs a program as the first of a pid namespace.
fn in_a_namespace(code: &str) -> Ended {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(python::shared().command().get_program());
    command.args(["-c", &format!("{BEGINNING}{code}"), FPPROF]);
    start_command(command, Scratch::new()).wait()
}

#[test]
fn a_worker_with_the_id_of_one_that_has_ended_is_another() {
    let master = "
def first(): work(MILLIS); os.write(1, f'{os.getpid()} {time.process_time()}\\n'.encode())
def second(): work(2 * MILLIS); os.write(1, f'{os.getpid()} {time.process_time()}\\n'.encode())
pid = os.fork()
if pid == 0:
    first()
    os._exit(0)
wait_until(lambda: is_sampled(os.getppid(), pid))
os.waitpid(pid, 0)
with_id(pid, second)
os.waitpid(pid, 0)
";
    let master = master.replace("MILLIS", &milliseconds(400).to_string());
    let scratch = Scratch::new();
    let path = scratch.path().join("master.py");
    std::fs::write(&path, format!("{BEGINNING}{master}")).expect("the folder is ours");
    let ended = in_a_namespace(&format!(
        "sys.exit(subprocess.run([sys.argv[1], 'record', '-s', '--max-overhead', 'none', '-o', 'o.txt', '--', sys.executable, '{}']).returncode)",
        path.display()
    ));
    let stacks = ended.stacks();
    let said: Vec<(&str, f64)> = ended
        .stdout
        .lines()
        .map(|line| line.split_once(' ').expect("an id and seconds"))
        .map(|(pid, seconds)| (pid, seconds.parse().expect("a number")))
        .collect();
    let [(pid, first), (again, second)] = said[..] else { panic!("{ended:?}") };
    assert_eq!(pid, again, "{ended:?}");
    for (name, own, other, cpu) in [
        (format!("master.py ({pid});"), ";first (", ";second (", first),
        (format!("master.py ({pid} #2);"), ";second (", ";first (", second),
    ] {
        let of_it = || ended.recorded().lines().filter(|line| line.starts_with(&name));
        assert!(stacks.iter().any(|stack| stack.starts_with(&name) && stack.contains(own)), "{name}: {ended:?}");
        assert!(!of_it().any(|stack| stack.contains(other)), "{name}: {ended:?}");
        let micros = of_it().filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        let width = micros.sum::<f64>() / 1e6;
        assert!((0.85 * cpu..1.5 * cpu + 0.3).contains(&width), "{name} {width} s of {cpu}: {ended:?}");
    }
    assert!(ended.stderr.contains(&format!("master.py ({pid} #2): ")), "{ended:?}");
}

#[test]
fn a_stranger_with_the_id_of_a_chosen_process_is_not_recorded_and_neither_is_what_it_starts() {
    let driver = "
def wanted(): work(10**9)
def worker(): work(10**9)
def stranger():
    if os.fork() == 0: strange_child()
    work(10**9)
def strange_child(): work(10**9)
chosen = os.fork()
if chosen == 0:
    if os.fork() == 0: worker()
    wanted()
fpprof = subprocess.Popen([sys.argv[1], 'record', '-s', '--max-overhead', 'none', '-o', 'o.txt', '-p', str(chosen)])
children = lambda pid: [int(child) for child in open(f'/proc/{pid}/task/{pid}/children').read().split()]
wait_until(lambda: children(chosen) and is_sampled(fpprof.pid, chosen) and is_sampled(fpprof.pid, children(chosen)[0]))
child = children(chosen)[0]
def let_work(pid, millis):
    until = cpu_time(pid) + millis
    wait_until(lambda: cpu_time(pid) > until)
let_work(chosen, MILLIS)
os.kill(chosen, signal.SIGKILL)
os.waitpid(chosen, 0)
with_id(chosen, stranger)
wait_until(lambda: children(chosen))
let_work(chosen, 2 * MILLIS)
let_work(children(chosen)[0], MILLIS)
let_work(child, MILLIS)
fpprof.send_signal(signal.SIGINT)
sys.exit(fpprof.wait())
";
    let ended = in_a_namespace(&driver.replace("MILLIS", &milliseconds(250).to_string()));
    let has = |name: &str| ended.stacks().iter().any(|stack| stack.contains(&format!(";{name} (")));
    assert!(has("wanted") && has("worker"), "{ended:?}");
    assert!(!has("stranger") && !has("strange_child"), "{ended:?}");
    assert!(ended.stderr.contains("processes: 2 recorded"), "{ended:?}");
}
