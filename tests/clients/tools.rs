//! Runs fpprof, and the programs that its outputs are opened with.
//!
//! A missing one is a failure, not a skipped test: `tests/clients/setup` installs them all.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A folder that is removed afterwards.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fpprof-clients-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("the temporary folder can be written");
        Scratch(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What `fpprof report` makes of the recording, in a file of that name.
    #[track_caller]
    pub fn report(&self, is_empty: bool, name: &str, arguments: &[&str]) -> PathBuf {
        let recording = self.file(if is_empty { "empty.fpprof" } else { "full.fpprof" });
        crate::recording::write(&recording, is_empty);
        let output = self.file(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_fpprof"));
        command.arg("report").arg(&recording).args(arguments).arg("-o").arg(&output);
        succeeded(&mut command);
        output
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that stays behind in a temporary place harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the command printed.
#[track_caller]
pub fn succeeded(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: tests/clients/setup installs it"));
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(status.success(), "{command:?} fails, {status}: {stdout}{stderr}");
    stdout
}

/// Where `tests/clients/setup` installs packages.
pub fn clients() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("there is a home directory"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from).join("fpprof");
    let clients = std::env::var_os("FPPROF_TEST_ROOTS").map_or(cache, PathBuf::from).join("clients");
    assert!(clients.join("node_modules").is_dir(), "{} is missing: run tests/clients/setup", clients.display());
    clients
}

/// What a script of `tests/clients` prints.
#[track_caller]
pub fn node<S: AsRef<OsStr>>(script: &str, arguments: &[S]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let mut command = Command::new("node");
    command.arg(script).args(arguments).env("FPPROF_CLIENTS", clients());
    succeeded(&mut command)
}

/// The JSON that a script of `tests/clients` prints.
#[track_caller]
pub fn node_json<S: AsRef<OsStr>>(script: &str, arguments: &[S]) -> Value {
    serde_json::from_str(&node(script, arguments)).expect("it prints JSON")
}

/// `go tool pprof` with these arguments.
#[track_caller]
pub fn pprof(arguments: &[&str], profile: &Path) -> String {
    let mut command = Command::new("go");
    command.args(["tool", "pprof"]).args(arguments).arg(profile);
    // It keeps settings, and copies of profiles, in the home directory.
    let home = profile.parent().expect("it is in a folder");
    command.env("PPROF_TMPDIR", home).env("XDG_CONFIG_HOME", home).env("TZ", "UTC");
    succeeded(&mut command)
}

/// A session of the Firefox Profiler's command, with one profile open.
pub struct FirefoxProfiler {
    folder: PathBuf,
}

impl FirefoxProfiler {
    #[track_caller]
    pub fn open(scratch: &Scratch, profile: &Path) -> FirefoxProfiler {
        let profiler = FirefoxProfiler { folder: scratch.file("sessions") };
        // It gives its own process half a second to start, which is not enough on a busy machine.
        for _ in 0..20 {
            let loaded = profiler.command().arg("load").arg(profile).output().expect("tests/clients/setup installs it");
            let said = String::from_utf8_lossy(&loaded.stderr);
            if loaded.status.success() {
                return profiler;
            }
            let started = said.split_once("\"kill ").and_then(|(_, rest)| rest.split_once('"'));
            let Some((pid, _)) = started else { panic!("{} cannot be opened: {said}", profile.display()) };
            // What it has started in vain, and says how to end.
            let _ = Command::new("kill").arg(pid).output();
        }
        panic!("the Firefox Profiler's command does not start");
    }

    fn command(&self) -> Command {
        let mut command = Command::new("node");
        command.arg(clients().join("node_modules/@firefox-devtools/profiler-cli/dist/profiler-cli.js"));
        command.env("PROFILER_CLI_SESSION_DIR", &self.folder);
        command
    }

    /// What it answers, as JSON.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let answer = succeeded(self.command().args(arguments).arg("--json"));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {answer}"))
    }
}

impl Drop for FirefoxProfiler {
    fn drop(&mut self) {
        // Its process would stay; when it has ended already there is nothing to do.
        let _ = self.command().args(["stop", "--all"]).output();
    }
}
