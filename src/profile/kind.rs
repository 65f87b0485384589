//! What kind of code a frame is, told by where its file is.
//!
//! Does: classify paths, as text. Does not: look at any file.

use crate::profile::frame::FrameKind;
use crate::profile::paths;

/// C libraries, loaders and compiler runtimes: the system's wherever they are (Conda and wheels bring their own).
const SYSTEM_LIBRARIES: [&str; 13] = [
    "libc",
    "ld",
    "ld-linux",
    "ld-musl",
    "libm",
    "libmvec",
    "libpthread",
    "libdl",
    "librt",
    "libutil",
    "libresolv",
    "libstdc++",
    "libgcc_s",
];

/// Where distributions keep libraries (FHS 3.0, sections 3.9, 3.10 and 4.6).
const SYSTEM_FOLDERS: [&str; 8] =
    ["/lib/", "/lib32/", "/lib64/", "/libx32/", "/usr/lib/", "/usr/lib32/", "/usr/lib64/", "/usr/libx32/"];

/// The kind of a Python file, by `co_filename`.
///
/// Code that has no file (`<string>`, `<stdin>`) is the user's; `<frozen …>` is the standard library's.
pub fn python_kind(path: &str) -> FrameKind {
    if path.starts_with("<frozen ") {
        FrameKind::StandardLibrary
    } else if path.starts_with('<') {
        FrameKind::UserCode
    } else if paths::in_packages(path).is_some() {
        FrameKind::InstalledPackage
    } else if paths::in_standard_library(path).is_some() {
        FrameKind::StandardLibrary
    } else {
        FrameKind::UserCode
    }
}

/// The kind of a native module, by its path in the mappings. `is_interpreter`: whether it holds CPython itself.
pub fn native_kind(path: &str, is_interpreter: bool) -> FrameKind {
    if is_interpreter {
        return FrameKind::Interpreter;
    }
    // `[vdso]`, `[vsyscall]`, `[kernel.kallsyms]`.
    if path.starts_with('[') {
        return FrameKind::System;
    }
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let of_python = paths::in_packages(path).is_some() || path.contains("/lib-dynload/");
    let in_system_folder = SYSTEM_FOLDERS.iter().any(|folder| path.starts_with(folder));
    if is_system_library(paths::file_name(path)) || (in_system_folder && !of_python) {
        FrameKind::System
    } else {
        FrameKind::NativeExtension
    }
}

/// Whether a file name is a system library's with any version: `libc.so.6`, `libc-2.31.so`, `ld-linux-x86-64.so.2`,
/// `libstdc++-0a1b2c3d.so.6` (as wheels rename them).
fn is_system_library(file_name: &str) -> bool {
    let Some((stem, _)) = file_name.split_once(".so") else { return false };
    SYSTEM_LIBRARIES.iter().any(|library| {
        stem.strip_prefix(library).is_some_and(|rest| {
            let loader = library.starts_with("ld") && (rest.starts_with('-') || rest.is_empty());
            let version = rest.strip_prefix('-').is_some_and(|v| v.chars().all(|c| c.is_ascii_hexdigit() || c == '.'));
            rest.is_empty() || loader || version
        })
    })
}

#[cfg(test)]
mod tests {
    use super::FrameKind::*;
    use super::*;

    #[test]
    fn python_files() {
        for (path, kind) in [
            ("/srv/app/worker.py", UserCode),
            ("worker.py", UserCode),
            ("", UserCode),
            ("<string>", UserCode),
            ("<ipython-input-1-abc>", UserCode),
            ("<frozen importlib._bootstrap>", StandardLibrary),
            ("/usr/lib/python3.13/json/decoder.py", StandardLibrary),
            ("/home/u/.pyenv/versions/3.11.7/lib/python3.11/json/decoder.py", StandardLibrary),
            ("/opt/py/lib/python3.14t/threading.py", StandardLibrary),
            ("/usr/lib64/python3.12/re/__init__.py", StandardLibrary),
            ("/app/lib/python313.zip/json/decoder.py", StandardLibrary),
            ("/usr/lib/python3/dist-packages/yaml/reader.py", InstalledPackage),
            ("/srv/app/.venv/lib/python3.13/site-packages/requests/api.py", InstalledPackage),
            ("/srv/python3.13/tool.py", UserCode),
            ("/srv/lib/python3.x/tool.py", UserCode),
            ("/srv/my-site-packages/tool.py", UserCode),
        ] {
            assert_eq!(python_kind(path), kind, "{path}");
        }
    }

    #[test]
    fn native_modules() {
        for (path, kind) in [
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", System),
            ("/lib/x86_64-linux-gnu/libpthread-2.31.so", System),
            ("/lib64/ld-linux-x86-64.so.2", System),
            ("/opt/conda/lib/libstdc++.so.6.0.33", System),
            ("/v/lib/python3.13/site-packages/numpy.libs/libgcc_s-2d945d6c.so.1", System),
            ("/usr/lib/x86_64-linux-gnu/libz.so.1.3.1", System),
            ("/usr/lib/x86_64-linux-gnu/libz.so.1.3.1 (deleted)", System),
            ("[vdso]", System),
            ("/usr/lib/python3.13/lib-dynload/_json.cpython-313-x86_64-linux-gnu.so", NativeExtension),
            ("/usr/lib/python3/dist-packages/yaml/_yaml.cpython-313-x86_64-linux-gnu.so", NativeExtension),
            ("/v/lib/python3.13/site-packages/numpy/_core/_multiarray_umath.so", NativeExtension),
            ("/srv/app/libcustom.so", NativeExtension),
            ("/srv/app/libmagic.so", NativeExtension),
            ("/srv/app/libc-client.so", NativeExtension),
            ("/opt/conda/lib/libz.so.1", NativeExtension),
            ("/srv/app/ldap.so", NativeExtension),
        ] {
            assert_eq!(native_kind(path, false), kind, "{path}");
        }
        assert_eq!(native_kind("/usr/bin/python3.13", true), Interpreter);
        assert_eq!(native_kind("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", true), Interpreter);
    }
}
