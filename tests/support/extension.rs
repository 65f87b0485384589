//! Where `tests/setup` has put what the targets import: the tests' own extension module, and NumPy.
//!
//! Does: name folders, and fail where they are missing. Does not: build anything.

use std::path::PathBuf;

/// The names under which the extension is compiled: with frame pointers, without, and without and stripped.
pub const MODULES: [&str; 3] = ["fpext_fp", "fpext_nofp", "fpext_stripped"];

/// The compiled files of [`MODULES`], in the same order.
///
/// # Panics
/// When one is missing.
pub fn files() -> [PathBuf; 3] {
    MODULES.map(|module| existing(cache().join("extension").join(format!("{module}.abi3.so"))))
}

/// NumPy for CPython 3.`minor`, as the folder to put on the module path of an interpreter that does not run by chroot.
///
/// # Panics
/// When it is missing.
pub fn numpy(minor: u8) -> PathBuf {
    existing(cache().join(format!("numpy/3.{minor}")))
}

/// Where `numpy` is inside the sid root, where an interpreter run by chroot sees it.
pub fn numpy_in_root(minor: u8) -> PathBuf {
    PathBuf::from(format!("/opt/fpprof/numpy/3.{minor}"))
}

/// The sid interpreters' symbol tables by build-id, in the form of gdb's `debug-file-directory`.
///
/// # Panics
/// When it is missing.
pub fn symbols() -> PathBuf {
    existing(cache().join("symbols"))
}

/// The folder in which `tests/setup` keeps what it makes.
fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("FPPROF_TEST_ROOTS").unwrap_or_else(|| {
        let home = || variable("HOME").unwrap_or_default().join(".cache");
        variable("XDG_CACHE_HOME").unwrap_or_else(home).join("fpprof")
    })
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run tests/setup", path.display());
    path
}
