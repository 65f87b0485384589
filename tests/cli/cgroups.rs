//! CPU quotas of control groups: fpprof's own, which it keeps clear of, and the target's, of which it tells.
//!
//! They need a machine that lets root make a group with the `cpu` controller. A container or an emulated machine without such
//! a file system cannot have one: the tests say so, and what is read and reckoned is tested in `src` without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;

use crate::patience::eventually;
use crate::processes::{self, assert_runs_on};
use crate::python::{self, BUSY, Program};
use crate::run::{Ended, FPPROF, Running, Scratch, start, start_command};

/// A control group with a CPU quota; removed when dropped, once nobody is in it.
struct Group(PathBuf);

impl Group {
    /// One that may use `quota` µs of each 100 ms, in whichever version there is here; else why not.
    fn with_quota(quota: u64) -> Result<Group, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fpprof-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut reasons = Vec::new();
        for root in ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"] {
            let folder = Path::new(root).join(&name);
            match Group::made(folder, quota) {
                Ok(group) => return Ok(group),
                Err(error) => reasons.push(format!("{root}: {error}")),
            }
        }
        Err(reasons.join("; "))
    }

    fn made(folder: PathBuf, quota: u64) -> std::io::Result<Group> {
        fs::create_dir(&folder)?;
        let group = Group(folder);
        let max = group.0.join("cpu.max");
        if max.exists() {
            fs::write(max, format!("{quota} 100000"))?;
        } else {
            fs::OpenOptions::new().write(true).open(group.0.join("cpu.cfs_quota_us"))?;
            fs::write(group.0.join("cpu.cfs_quota_us"), quota.to_string())?;
        }
        Ok(group)
    }

    fn take_in(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("a process can be moved into a group");
    }

    /// Takes a process out again, into the group around it.
    fn let_go(&self, pid: i32) {
        let around = self.0.parent().expect("it has one").join("cgroup.procs");
        fs::write(around, pid.to_string()).expect("a process can be moved back");
    }

    /// In how many periods it was throttled.
    fn throttled(&self) -> u64 {
        let text = fs::read_to_string(self.0.join("cpu.stat")).expect("it is there");
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        line.and_then(|number| number.parse().ok()).expect("the kernel counts")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was in it may take a moment to be gone; an empty group that stays behind harms nobody.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// A group with this quota; `None`, and why, on a machine that cannot have one.
fn group(quota: u64) -> Option<Group> {
    Group::with_quota(quota).inspect_err(|why| eprintln!("skipped: no group with a CPU quota here ({why})")).ok()
}

/// A recording that takes samples, without the right to a priority: with one it would not be throttled at all.
fn recording_without_priority(target: &Program, arguments: &[&str]) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_nice", "--inh-caps=-sys_nice", FPPROF, "record", "--max-overhead", "none"]);
    command.args(["-o", "o.txt", "-p", &target.pid_text()]).args(arguments);
    let recording = start_command(command, Scratch::new());
    recording.wait_until_sampling(target.pid());
    recording
}

/// Ends a recording that has written its output.
fn end(recording: Running) -> Ended {
    recording.signal(Signal::SIGINT);
    let ended = recording.wait();
    ended.recorded();
    ended
}

#[test]
fn samples_that_do_not_fit_in_fpprofs_own_quota_are_left_out_and_the_quota_is_named() {
    let Some(group) = group(5_000) else { return };
    let target = Program::start(&python::newest(), BUSY);
    let recording = recording_without_priority(&target, &["-r", "1000"]);
    group.take_in(recording.pid());
    // With 5 ms of each 100 ms that takes 2 s, and quotas are looked up once a second.
    processes::let_work(recording.pid(), 100);
    group.let_go(recording.pid());
    let ended = end(recording);
    let line = ended.stderr.lines().find(|line| line.contains("left out: ")).unwrap_or_else(|| panic!("{ended:?}"));
    assert!(line.contains("the CPU quota of fpprof's own cgroup (0.05 of a CPU)"), "{line}");
    assert_runs_on(target.pid());
}

#[test]
fn a_quota_that_fpprof_shares_with_its_target_leaves_no_sample_out() {
    let Some(group) = group(20_000) else { return };
    let target = Program::start(&python::newest(), BUSY);
    let recording = recording_without_priority(&target, &[]);
    group.take_in(target.pid());
    group.take_in(recording.pid());
    let before = group.throttled();
    eventually("the group is throttled", || group.throttled() > before + 20);
    group.let_go(recording.pid());
    let ended = end(recording);
    assert!(!ended.stderr.contains("left out: "), "{ended:?}");
    assert_runs_on(target.pid());
}

#[test]
fn what_the_targets_quota_stopped_is_told() {
    let Some(group) = group(20_000) else { return };
    let target = Program::start(&python::newest(), BUSY);
    group.take_in(target.pid());
    let recording = start(&["-o", "o.txt", "-p", &target.pid_text()]);
    recording.wait_until_sampling(target.pid());
    let before = group.throttled();
    eventually("the group is throttled", || group.throttled() > before + 5);
    let ended = end(recording);
    let said = "throttled: the CPU quota of the target's cgroup (0.2 of a CPU) stopped it in ";
    assert!(ended.stderr.contains(said), "{ended:?}");
    assert_runs_on(target.pid());
}
