//! Programs that a test makes and then runs.
//!
//! Does: have another process write them. A file that is open for writing cannot be executed (ETXTBSY, execve(2)); were it written here, a
//! test that starts a program at that moment would hand the open file on to its child, and it would stay open until that has begun.
//! Does not: run them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes a program of these bytes.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    let mut contents = path.as_os_str().to_owned();
    contents.push(".contents");
    fs::write(&contents, bytes).expect("it can be written");
    copy(Path::new(&contents), path);
    fs::remove_file(contents).expect("it is there");
}

/// Makes a program that is a copy of a file.
pub fn copy(from: &Path, to: &Path) {
    let ended = Command::new("install").args(["-m", "755"]).arg(from).arg(to).status().expect("coreutils are there");
    assert!(ended.success(), "{} cannot be copied to {}", from.display(), to.display());
}
