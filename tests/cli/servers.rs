//! Servers and pools that people run, recorded with all of their workers.
//!
//! The truth is what their workers say: each request, task or job tells its process, and the CPU time that this has used until then.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::many_processes::widths;
use crate::patience::eventually;
use crate::processes;
use crate::run::{Ended, FPPROF, Running, Scratch, start_command};

/// What `tests/setup` has installed: gunicorn, uvicorn, uwsgi, Celery, loky and greenlet.
pub fn installed(program: &str) -> PathBuf {
    let path = crate::interpreters::roots().join("servers/bin").join(program);
    assert!(path.exists(), "{}: run tests/setup", path.display());
    path
}

/// Records a program with its subprocesses, in the folder of the servers' files.
fn record(program: &str, arguments: &[&str], scratch: Scratch) -> Running {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
    let mut command = Command::new(FPPROF);
    command
        .args(["record", "-s", "--max-overhead", "none", "-o", "o.txt", "--"])
        .arg(installed(program))
        .args(arguments);
    command.env("PYTHONPATH", &files).env("TASKS", scratch.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    start_command(command, scratch)
}

/// The seconds that each process has said last.
fn latest<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<i32, f64> {
    let said = |line: &str| {
        let mut words = line.split(' ');
        let (pid, cpu) = (words.next()?.parse().ok()?, words.nth(1)?.trim().parse().ok()?);
        Some((pid, cpu))
    };
    lines.filter_map(said).collect()
}

/// Checks that the time of each worker is in the profile, and a little more: what it used to begin and to end.
#[track_caller]
fn assert_all_is_there(ended: &Ended, said: &BTreeMap<i32, f64>, least: usize) {
    let widths = widths(ended.output.as_deref().unwrap_or_else(|| panic!("no output: {ended:?}")));
    assert!(said.len() >= least, "{said:?}");
    for (pid, cpu) in said {
        let width = widths.get(pid).copied().unwrap_or(0.0);
        assert!((0.85 * cpu..1.5 * cpu + 0.5).contains(&width), "{pid}: {width} s of {cpu}: {widths:?} {ended:?}");
    }
}

/// The program that fpprof has started.
fn server(running: &Running) -> i32 {
    let mut child = None;
    eventually("fpprof starts the server", || {
        child = processes::children(running.pid()).first().copied();
        child.is_some()
    });
    child.expect("there is one")
}

/// One request to a server at a socket; the body of its answer.
fn get(socket: &Path) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(crate::patience::patience())).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// Asks a server for so many answers, while it may be starting its workers anew.
fn answers(socket: &Path, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    eventually("the server answers", || {
        all.extend(get(socket).filter(|answer| !answer.is_empty()));
        all.len() >= count
    });
    all
}

#[test]
fn gunicorn_s_workers_are_recorded_also_those_that_come_later() {
    let scratch = Scratch::new();
    let socket = scratch.path().join("socket");
    let bind = format!("unix:{}", socket.display());
    let running = record("gunicorn", &["-w", "2", "--bind", &bind, "--max-requests", "20", "app:app"], scratch);
    let said = answers(&socket, 100);
    processes::send(server(&running), Signal::SIGTERM);
    let ended = running.wait();
    assert_all_is_there(&ended, &latest(said.iter().map(String::as_str)), 3);
    assert!(ended.stacks().iter().any(|stack| stack.starts_with("gunicorn: worker [app:app] (")), "{ended:?}");
}

#[test]
fn gunicorn_with_threads_that_is_told_to_reload_is_followed() {
    let scratch = Scratch::new();
    let socket = scratch.path().join("socket");
    let bind = format!("unix:{}", socket.display());
    let arguments = ["-w", "2", "-k", "gthread", "--threads", "2", "--bind", &bind, "app:app"];
    let running = record("gunicorn", &arguments, scratch);
    let mut said = answers(&socket, 30);
    let before: Vec<i32> = latest(said.iter().map(String::as_str)).into_keys().collect();
    processes::send(server(&running), Signal::SIGHUP);
    eventually("others answer", || {
        said.extend(get(&socket));
        latest(said.iter().map(String::as_str)).keys().any(|pid| !before.contains(pid))
    });
    said.extend(answers(&socket, 30));
    processes::send(server(&running), Signal::SIGTERM);
    let ended = running.wait();
    assert_all_is_there(&ended, &latest(said.iter().map(String::as_str)), 2);
}

#[test]
fn uvicorn_s_workers_are_recorded() {
    let scratch = Scratch::new();
    let socket = scratch.path().join("socket");
    let path = socket.to_string_lossy().into_owned();
    let running = record("uvicorn", &["--workers", "2", "--uds", &path, "app:asgi"], scratch);
    let said = answers(&socket, 60);
    processes::send(server(&running), Signal::SIGTERM);
    assert_all_is_there(&running.wait(), &latest(said.iter().map(String::as_str)), 1);
}

#[test]
fn uwsgi_s_processes_are_recorded() {
    let scratch = Scratch::new();
    let socket = scratch.path().join("socket");
    let path = socket.to_string_lossy().into_owned();
    let arguments = ["--http-socket", &path, "--module", "app:app", "--processes", "2", "--master", "--die-on-term"];
    let running = record("uwsgi", &arguments, scratch);
    let said = answers(&socket, 60);
    processes::send(server(&running), Signal::SIGTERM);
    assert_all_is_there(&running.wait(), &latest(said.iter().map(String::as_str)), 1);
}

#[test]
fn celery_s_pool_is_recorded() {
    let running = record("celery", &["-A", "tasks", "worker", "-c", "2", "--pool", "prefork"], Scratch::new());
    let waiting = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("the folder is ours").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".celery.msg")).count()
    };
    eventually("tasks are given", || waiting(running.folder()) > 0);
    eventually("tasks are taken", || waiting(running.folder()) == 0);
    processes::send(server(&running), Signal::SIGTERM);
    let ended = running.wait();
    assert_all_is_there(&ended, &latest(ended.stdout.lines().filter(|line| line.contains(" task "))), 1);
}

#[test]
fn pools_of_processes_are_recorded() {
    for kind in ["loky", "futures"] {
        let pool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/pool.py");
        let ended = record("python3", &[&pool.to_string_lossy(), kind], Scratch::new()).wait();
        assert_all_is_there(&ended, &latest(ended.stdout.lines()), 2);
    }
}
