//! Processes of another pid namespace, and of a control group or container, while these come and go.
//!
//! Ids are those of fpprof's own namespace. Groups need a machine that lets root make one; where there is none, a test of them says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::many_processes::widths;
use crate::patience::eventually;
use crate::processes;
use crate::python::{self, Program};
use crate::run::{fpprof, record, start};

/// A master with two workers, all of them until its standard input ends. Each says its id as it knows it.
const MASTER: &str = "
import os, signal
def work():
    while True:
        n = 0
        for i in range(20000): n += i
workers = []
for _ in range(2):
    pid = os.fork()
    if pid == 0: work()
    workers.append(pid)
print('ready', flush=True)
print(os.getpid(), *workers, flush=True)
def wait_for_the_end(): os.read(0, 1)
wait_for_the_end()
for pid in workers: os.kill(pid, signal.SIGKILL)
for pid in workers: os.waitpid(pid, 0)
";

fn ids(line: &str) -> Vec<i32> {
    line.split(' ').map(|pid| pid.parse().expect("an id")).collect()
}

#[test]
fn processes_of_another_pid_namespace_are_called_by_the_ids_of_our_own() {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(python::shared().command().get_program());
    let mut outer = Program::start_command(command, MASTER);
    assert_eq!(ids(&outer.line())[0], 1, "it is the first of its namespace");
    let [master] = processes::children(outer.pid())[..] else { panic!("unshare has one child") };
    let workers = processes::children(master);
    let mut all = [vec![master], workers.clone()].concat();
    all.sort_unstable();

    let dump = fpprof(&["dump", "-s", "-p", &master.to_string()]);
    let shown: Vec<&str> = dump.stdout.lines().filter(|line| line.starts_with("Process ")).collect();
    assert_eq!(shown.len(), 3, "{dump:?}");
    for (line, pid) in shown.iter().zip(&all) {
        assert!(line.starts_with(&format!("Process {pid}: ")), "{dump:?}");
    }
    let json = fpprof(&["dump", "-s", "--json", "-p", &master.to_string()]);
    assert!(json.stdout.contains("\"namespace_pid\": 1,") || json.stdout.contains("\"namespace_pid\":1,"), "{json:?}");

    let running = start(&["-s", "-o", "o.txt", "-p", &master.to_string()]);
    for worker in &workers {
        running.wait_until_sampling(*worker);
        processes::let_work(*worker, 300);
    }
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    let seen: Vec<i32> = widths(ended.recorded()).into_keys().collect();
    assert!(workers.iter().all(|worker| seen.contains(worker)), "{ended:?}");
    assert!(seen.iter().all(|pid| all.contains(pid)), "{ended:?}");
    outer.end();
}

/// A control group; removed when dropped, if it has not been before.
struct Group(PathBuf);

impl Group {
    /// One with this name, in whichever hierarchy one can be made in; `None`, and why, on a machine that cannot have one.
    fn named(name: &str) -> Option<Group> {
        let folders =
            ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].map(|root| Path::new(root).join(name));
        let made =
            folders.into_iter().find(|folder| fs::create_dir(folder).is_ok() && folder.join("cgroup.procs").exists());
        if made.is_none() {
            eprintln!("skipped: no control group can be made here");
        }
        made.map(Group)
    }

    fn take_in(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("a process can be moved into a group");
    }

    fn remove(&self) {
        eventually("the group is empty and is removed", || fs::remove_dir(&self.0).is_ok() || !self.0.exists());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An empty group that stays behind harms nobody.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Records what is in a group, by these switches; ends its processes and the group, and checks that the recording ends with them.
fn record_until_it_is_gone(group: &Group, switches: &[&str]) {
    let mut master = Program::start(&python::shared(), MASTER);
    let workers = ids(&master.line()).split_off(1);
    workers.iter().for_each(|worker| group.take_in(*worker));
    let running = start(&[switches, &["-d", "600", "-o", "o.txt"]].concat());
    for worker in &workers {
        running.wait_until_sampling(*worker);
        processes::let_work(*worker, 300);
    }
    // A process that comes into it later, and those that were there leave it or end.
    group.take_in(master.pid());
    running.wait_until_sampling(master.pid());
    let pid = master.pid();
    assert!(master.end().success());
    group.remove();
    let ended = running.wait();
    let seen: Vec<i32> = widths(ended.recorded()).into_keys().collect();
    assert!(workers.iter().all(|worker| seen.contains(worker)), "{pid}: {ended:?}");
    assert!(ended.stderr.contains("the target has ended"), "{ended:?}");
}

#[test]
fn a_control_group_that_is_removed_ends_its_recording() {
    let name = format!("fpprof-removed-{}", std::process::id());
    let Some(group) = Group::named(&name) else { return };
    record_until_it_is_gone(&group, &["--cgroup", &format!("/{name}")]);
    record(&["--cgroup", &format!("/{name}"), "-d", "1", "-o", "o.txt"]).assert_refused(&["no process that is chosen"]);
}

#[test]
fn a_container_that_ends_ends_its_recording() {
    let id = format!("{:064x}", 0xfab0_0000_0000_u64 + u64::from(std::process::id()));
    let id: String = id.chars().rev().collect();
    let Some(group) = Group::named(&format!("docker-{id}.scope")) else { return };
    record_until_it_is_gone(&group, &["--container", &id[..24]]);
    record(&["--container", &id[..24], "-d", "1", "-o", "o.txt"]).assert_refused(&["no process that is chosen"]);
}
