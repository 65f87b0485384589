//! Where an output goes.
//!
//! Does: find out before anything is recorded that it can be written; write it beside its name and have it take that when it is whole, so that what was there
//! stays until then; keep the recording that it is made of where it is found if fpprof is killed. Does not: format anything.

pub mod name;
mod new_file;
mod place;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use self::name::partial_name;
use self::new_file::NewFile;
use self::place::Place;
use crate::cli::failure::Failure;

pub use self::name::default_name;
pub use self::place::is_standard_output;

/// So many recordings are left behind beside one output.
const MOST_PARTIAL: u32 = 1000;
/// What a shell shows of a program that SIGPIPE has ended, as it ends `gzip` and `tar` whose reader has gone: 128 + 13.
const CUT_OFF: u8 = 141;

/// An output that can be written.
#[derive(Debug)]
pub struct OutputFile {
    destination: Destination,
    force: bool,
    is_private: bool,
    /// The recording that it is made of, where that is another file.
    recording: Option<NewFile>,
}

#[derive(Debug)]
enum Destination {
    Stdout,
    /// A pipe or a device.
    Stream {
        path: PathBuf,
        file: File,
    },
    File {
        path: PathBuf,
        new: NewFile,
    },
}

impl OutputFile {
    /// Gets an output ready; `-` is standard output. With `force` it may replace what somebody else has written, too.
    ///
    /// # Errors
    /// When it cannot be written, or must not be.
    pub fn open(path: &Path, force: bool) -> Result<OutputFile, Failure> {
        let destination = if is_standard_output(path) {
            Destination::Stdout
        } else {
            match place::look(path, force)? {
                Place::Stream(file) => Destination::Stream { path: path.to_owned(), file },
                Place::Free => {
                    let new = NewFile::beside(path).map_err(|error| place::cannot(path, &error))?;
                    Destination::File { path: path.to_owned(), new }
                }
            }
        };
        Ok(OutputFile { destination, force, is_private: false, recording: None })
    }

    /// A file that only its owner can read, if `is_private`: for what holds more than names and numbers.
    pub fn private(self, is_private: bool) -> OutputFile {
        OutputFile { is_private, ..self }
    }

    /// The path, unless it is standard output.
    pub fn path(&self) -> Option<&Path> {
        match &self.destination {
            Destination::Stdout => None,
            Destination::Stream { path, .. } | Destination::File { path, .. } => Some(path),
        }
    }

    /// Whether writing can wait for somebody who reads: a pipe, a terminal.
    pub fn can_block(&self) -> bool {
        !matches!(self.destination, Destination::File { .. })
    }

    /// The file, to write the output to before it is [committed](OutputFile::commit); `None` where it is no file.
    ///
    /// # Errors
    /// When the process can have no more open files.
    pub fn file(&self) -> io::Result<Option<File>> {
        match &self.destination {
            Destination::File { new, .. } => new.file().try_clone().map(Some),
            _ => Ok(None),
        }
    }

    /// A file for the recording that the output `is`, or is made of; `None` where the output is no file: who reads a pipe could hold samples up.
    ///
    /// # Errors
    /// When there can be none beside the output.
    pub fn recording(&mut self, is: bool) -> io::Result<Option<File>> {
        match &self.destination {
            Destination::File { path, .. } if !is => {
                let recording = self.recording.insert(NewFile::beside(path)?);
                recording.file().try_clone().map(Some)
            }
            _ => self.file(),
        }
    }

    /// Gives the recording a name beside the output's, which it keeps if fpprof is killed. To be called when it can be read. Returns the name.
    ///
    /// # Errors
    /// When there can be none.
    pub fn name_recording(&mut self) -> io::Result<Option<PathBuf>> {
        let (path, new) = match &mut self.destination {
            Destination::File { path, new } => (path, self.recording.as_mut().unwrap_or(new)),
            _ => return Ok(None),
        };
        let mut base = path.clone();
        let mut number = 1;
        while number < MOST_PARTIAL {
            let name = partial_name(&base, number);
            match new.take_name(&name) {
                Ok(()) => return Ok(Some(name)),
                // It was left behind, or another fpprof makes it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) if error.raw_os_error() == Some(libc::ENAMETOOLONG) && base == *path => {
                    base.set_file_name(format!("fpprof-{}", std::process::id()));
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Leaves the recording where it is: nothing else will come of it. Returns its name, if it has one.
    pub fn keep_recording(&mut self) -> Option<PathBuf> {
        match (&mut self.destination, &mut self.recording) {
            (_, Some(recording)) => recording.keep(),
            (Destination::File { new, .. }, None) => new.keep(),
            _ => None,
        }
    }

    /// Puts the file, which is whole, in its place.
    ///
    /// # Errors
    /// When something else is there by now, or the system refuses.
    pub fn commit(&mut self) -> Result<(), Failure> {
        if let Destination::File { path, new } = &mut self.destination {
            // Somebody may have put something there since.
            if let Place::Stream(_) = place::look(path, self.force)? {
                return Err(place::cannot(path, &io::ErrorKind::AlreadyExists.into()));
            }
            new.replace(path, self.is_private).map_err(|error| not_written(&error))?;
            self.recording = None;
        }
        Ok(())
    }

    /// Writes the output: what `write` writes, and nothing where that fails.
    ///
    /// # Errors
    /// When writing fails, also because whoever reads a pipe has closed it: what was read is not all.
    pub fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        let result = match &self.destination {
            Destination::Stdout => {
                let mut out = io::stdout().lock();
                // What is left of a line fails here, or nobody would know.
                write(&mut out).and_then(|()| out.flush())
            }
            Destination::Stream { file, .. } => write_buffered(file, write),
            Destination::File { new, .. } => {
                write_buffered(new.file(), write).map_err(|error| not_written(&error))?;
                return self.commit();
            }
        };
        result.map_err(|error| if error.kind() == io::ErrorKind::BrokenPipe { cut_off() } else { not_written(&error) })
    }

    /// The same for a text for people, of which one may read as much as one likes: `… | head`.
    ///
    /// # Errors
    /// When writing fails for any other reason.
    pub fn write_text(&mut self, text: &str) -> Result<(), Failure> {
        match self.write(|out| out.write_all(text.as_bytes())) {
            Err(failure) if failure == cut_off() => Ok(()),
            result => result,
        }
    }
}

fn write_buffered(file: &File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::new(file);
    write(&mut buffered).and_then(|()| buffered.flush())
}

/// Tells that a reader has not taken all of an output.
fn cut_off() -> Failure {
    Failure::new("the pipe that the output goes to was closed before all of it was written")
        .with_hint(
            "What has been read is no whole output: have its reader read to the end, or write a file, `--output FILE`.",
        )
        .with_exit_code(CUT_OFF)
}

/// Tells that writing an output has failed.
pub fn not_written(error: &io::Error) -> Failure {
    Failure::new(format_args!("the output cannot be written: {error}"))
        .with_hint("Is there space left where it goes (`df`), and is it within the limits (`ulimit -f`)? Choose another place with `--output FILE`.")
}

/// Whether a file can be made in the current directory: where an output goes that was not named.
///
/// # Errors
/// When it cannot.
pub fn check_current_directory() -> Result<(), Failure> {
    let flags = AccessFlags::W_OK | AccessFlags::X_OK;
    faccessat(AT_FDCWD, ".", flags, AtFlags::AT_EACCESS).map_err(|errno| {
        Failure::new(format_args!("the current directory cannot be written: {}", errno.desc()))
            .with_hint("Say where the profile shall go: `--output FILE`.")
    })
}

#[cfg(test)]
mod tests;
