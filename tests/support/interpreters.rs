//! Finds the interpreters that the tests run: pyenv's, and those in the Debian sid root. The arm64 machine has others in the place
//! of pyenv's.
//!
//! A missing one is a failure, not a skipped test: `tests/setup` installs them all.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether there are interpreters that were built from source on this machine (see tests/arm64).
const HAS_PYENV: bool = cfg!(target_arch = "x86_64");

/// One interpreter in one configuration.
#[derive(Debug, Clone)]
pub struct TestInterpreter {
    /// For messages: `pyenv 3.12`, `sid 3.15 jit`.
    pub name: String,
    /// 11 for CPython 3.11.
    pub minor: u8,
    /// Whether it shall compile what it runs often.
    pub jit: bool,
    root: Option<PathBuf>,
    program: PathBuf,
}

impl TestInterpreter {
    /// A command that runs the interpreter, without arguments yet.
    pub fn command(&self) -> Command {
        let mut command = match &self.root {
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.env("PYTHON_JIT", if self.jit { "1" } else { "0" }).env("PYTHONDONTWRITEBYTECODE", "1");
        // A chroot has its own locale files, or none; the tests' file names are UTF-8 everywhere.
        command.env("PYTHONUTF8", "1");
        command
    }

    /// A folder that the interpreter can read, as seen from here and as seen by the interpreter.
    pub fn scratch(&self) -> (PathBuf, PathBuf) {
        match &self.root {
            Some(root) => (root.join("tmp"), PathBuf::from("/tmp")),
            None => (std::env::temp_dir(), std::env::temp_dir()),
        }
    }
}

/// Every interpreter that the project promises to read.
///
/// # Panics
/// When one is missing.
pub fn all() -> Vec<TestInterpreter> {
    let pyenv: &[u8] = if HAS_PYENV { &[11, 12, 13] } else { &[] };
    let sid = [(13, false), (14, false), (15, false), (14, true), (15, true)].map(|(minor, jit)| sid(minor, jit));
    pyenv.iter().copied().map(self::pyenv).chain(sid).collect()
}

/// Each of them once, as it runs when nobody asks for its JIT: for what the code that a JIT makes has no part in.
#[allow(dead_code, reason = "each test program uses a part")]
pub fn without_jit() -> Vec<TestInterpreter> {
    all().into_iter().filter(|interpreter| !interpreter.jit).collect()
}

/// The interpreter of that name; `too old` is one of before 3.11, which fpprof does not read. In the arm64 machine, Debian's 3.11
/// stands for pyenv's 3.11 and 3.12 (none of them has debug offsets); 3.13 is built from source there, too.
///
/// # Panics
/// When there is none.
pub fn named(name: &str) -> TestInterpreter {
    let name = match name {
        "too old" => return too_old(),
        "musl 3.13" => return musl(),
        "pyenv 3.13" if !HAS_PYENV => return built(),
        "pyenv 3.11" | "pyenv 3.12" if !HAS_PYENV => return in_root("debian 3.11", 11, "usr/bin/python3.11", false),
        name => name,
    };
    all().into_iter().find(|interpreter| interpreter.name == name).unwrap_or_else(|| panic!("no interpreter {name}"))
}

/// One whose libc is musl: see tests/musl/setup.
fn musl() -> TestInterpreter {
    let program = roots().join("musl/bin/python3.13");
    if !program.exists() {
        missing(13, &roots());
    }
    TestInterpreter { name: "musl 3.13".to_owned(), minor: 13, root: None, program, jit: false }
}

/// A CPython that fpprof does not read.
fn too_old() -> TestInterpreter {
    if !HAS_PYENV {
        return in_root("too old", 9, "usr/bin/python3.9", false);
    }
    let versions = folder("PYENV_ROOT", None, ".pyenv").join("versions");
    let minor = [10, 9, 8].into_iter().find(|minor| pyenv_home(*minor, &versions).is_some());
    TestInterpreter { name: "too old".to_owned(), ..pyenv(minor.unwrap_or(10)) }
}

fn pyenv(minor: u8) -> TestInterpreter {
    let versions = folder("PYENV_ROOT", None, ".pyenv").join("versions");
    let home = pyenv_home(minor, &versions).unwrap_or_else(|| missing(minor, &versions));
    let program = home.join(format!("bin/python3.{minor}"));
    TestInterpreter { name: format!("pyenv 3.{minor}"), minor, root: None, program, jit: false }
}

/// The newest of that version, where there is one.
fn pyenv_home(minor: u8, versions: &Path) -> Option<PathBuf> {
    let prefix = format!("3.{minor}.");
    let mut found: Vec<PathBuf> = std::fs::read_dir(versions)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect();
    found.sort();
    found.pop()
}

/// What pyenv would make in the arm64 machine: the interpreter is a shared library, without frame pointers.
fn built() -> TestInterpreter {
    let program = roots().join("built/bin/python3.13");
    TestInterpreter { name: "built 3.13".to_owned(), minor: 13, root: None, program, jit: false }
}

fn sid(minor: u8, jit: bool) -> TestInterpreter {
    let name = format!("sid 3.{minor}{}", if jit { " jit" } else { "" });
    in_root(&name, minor, &format!("usr/bin/python3.{minor}"), jit)
}

/// One of the sid root.
fn in_root(name: &str, minor: u8, program: &str, jit: bool) -> TestInterpreter {
    let root = roots().join("sid");
    if !root.join(program).exists() {
        missing(minor, &root);
    }
    // The arm64 machine is the sid root itself.
    let is_here = root.canonicalize().is_ok_and(|root| root == Path::new("/"));
    let program = Path::new("/").join(program);
    TestInterpreter { name: name.to_owned(), minor, root: (!is_here).then_some(root), program, jit }
}

/// Where the tests' roots are.
pub fn roots() -> PathBuf {
    let cache = folder("XDG_CACHE_HOME", None, ".cache").join("fpprof");
    folder("FPPROF_TEST_ROOTS", Some(cache), "")
}

/// The folder that a variable names, or else the default, or else one in the home folder.
fn folder(variable: &str, default: Option<PathBuf>, in_home: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(in_home);
    std::env::var_os(variable).map(PathBuf::from).or(default).unwrap_or_else(home)
}

fn missing(minor: u8, place: &Path) -> ! {
    panic!("no CPython 3.{minor} in {}: run tests/setup to install the interpreters that are tested", place.display())
}
