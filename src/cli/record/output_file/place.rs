//! What an output's name stands for before it is written.
//!
//! Does: tell a name that a new file may have from what is written to where it is (a pipe, a device); refuse what is not ours to replace, and what would lead
//! the output elsewhere. Does not: write, or make files.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::unistd::geteuid;

use crate::cli::failure::Failure;
use crate::output::mark;

/// How long a pipe may have no reader: one that is started together with us may come after us.
const READER_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a name stands for.
#[derive(Debug)]
pub enum Place {
    /// Nothing, or what a new file may take the place of.
    Free,
    /// Something that is written to where it is.
    Stream(File),
}

/// Looks at what is called `path`. With `force`, also what fpprof has not written may be replaced.
///
/// # Errors
/// Why nothing may be written there.
pub fn look(path: &Path, force: bool) -> Result<Place, Failure> {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(cannot(path, &io::Error::from_raw_os_error(libc::EISDIR)));
    }
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Free),
        found => found.map_err(|error| cannot(path, &error))?,
    };
    let kind = found.file_type();
    if kind.is_symlink() && is_descriptor(path) {
        return descriptor(path).map(Place::Stream).map_err(|error| cannot(path, &error));
    }
    let refusal = match () {
        () if kind.is_dir() => return Err(cannot(path, &io::Error::from_raw_os_error(libc::EISDIR))),
        // Only root can make one.
        () if kind.is_char_device() => return open(path).map(Place::Stream).map_err(|error| cannot(path, &error)),
        () if kind.is_block_device() || kind.is_socket() => {
            let what = if kind.is_socket() { "a socket" } else { "a disk" };
            return Err(Failure::new(format_args!("`{}` is {what}: no profile is written there", path.display()))
                .with_hint("Choose another place with `--output FILE`."));
        }
        () if force => None,
        () if kind.is_symlink() => Some("is a symbolic link: what it leads to is not written"),
        () if found.uid() != geteuid().as_raw() => Some("belongs to another user"),
        () if is_foreign(path, &found) => Some("exists, and fpprof has not written it"),
        () => None,
    };
    if let Some(why_not) = refusal {
        let instead =
            if kind.is_symlink() { "replace the link itself with `--force`" } else { "replace it with `--force`" };
        return Err(Failure::new(format_args!("`{}` {why_not}", path.display()))
            .with_hint(format!("Choose another place, or {instead}.")));
    }
    if kind.is_fifo() { pipe(path).map(Place::Stream) } else { Ok(Place::Free) }
}

/// Tells that there can be no output at a path.
pub fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format_args!("the output `{}` cannot be written: {error}", path.display()))
        .with_hint("Choose another place with `--output FILE`; `--output -` writes to standard output.")
}

/// Whether the path is one of standard output's names.
pub fn is_standard_output(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1"].iter().any(|name| path == Path::new(name))
}

/// Whether a link is the name of a file that this process has open: who else can make links there has no need to.
fn is_descriptor(path: &Path) -> bool {
    let Some(folder) = path.parent() else { return false };
    [Path::new("/dev"), Path::new("/dev/fd")].contains(&folder)
        || statfs(folder).is_ok_and(|system| system.filesystem_type() == PROC_SUPER_MAGIC)
}

fn descriptor(path: &Path) -> io::Result<File> {
    if path.metadata()?.is_file() {
        return OpenOptions::new().write(true).truncate(true).open(path);
    }
    open(path)
}

/// Opens what does not wait to be opened.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    // Who reads is waited for while it is written.
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

/// Opens a named pipe, for which it must have a reader (fifo(7)).
fn pipe(path: &Path) -> Result<File, Failure> {
    let began = Instant::now();
    loop {
        match open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) && began.elapsed() < READER_WITHIN => {
                thread::sleep(LOOK_EVERY);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                return Err(Failure::new(format_args!("nobody reads the pipe `{}`", path.display()))
                    .with_hint("Start what reads it first, or write to a file: `--output FILE`."));
            }
            opened => return opened.map_err(|error| cannot(path, &error)),
        }
    }
}

/// Whether it is a file with something in it that fpprof has not written, or that cannot be looked at.
fn is_foreign(path: &Path, found: &Metadata) -> bool {
    if !found.is_file() || found.len() == 0 {
        return false;
    }
    let mut beginning = Vec::new();
    // It may have become something else since it was looked at.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let read = file.and_then(|file| file.take(mark::ENOUGH).read_to_end(&mut beginning));
    read.is_err() || !mark::is_own(&beginning)
}
