//! Where a recording is kept whose output needs every sample, until it is made.
//!
//! Does: make a file that nobody else sees. Does not: write to it.

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// An empty file without a name, which is gone when nobody has it open.
///
/// In memory where there is no folder for it and `TMPDIR` names none: in a container whose root is empty or cannot be written.
///
/// # Errors
/// When none can be made where temporary files belong (`TMPDIR`, or `/tmp`).
pub fn temporary_file() -> io::Result<File> {
    match temporary_file_in(&std::env::temp_dir()) {
        Err(error) if std::env::var_os("TMPDIR").is_none() && is_no_folder(&error) => {
            Ok(memfd_create("fpprof", MFdFlags::MFD_CLOEXEC)?.into())
        }
        found => found,
    }
}

/// Whether the folder is missing or not for us to write, and not merely full.
fn is_no_folder(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem)
}

fn temporary_file_in(folder: &Path) -> io::Result<File> {
    for attempt in 0..100 {
        let path = folder.join(format!("fpprof-{}-{attempt}.tmp", std::process::id()));
        // Never one that is there, and readable by nobody else: others may write into this folder, too.
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => return remove_file(&path).map(|()| file),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
