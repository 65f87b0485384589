//! Where a recording goes.
//!
//! Does: open the output before anything is recorded, so that one which cannot be written is found out at once; remove
//! it again when nothing was written to it; refuse to replace what fpprof has not written.
//! Does not: format anything.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use crate::cli::failure::Failure;
use crate::output::mark;
use crate::types::Pid;

/// An opened output.
#[derive(Debug)]
pub struct OutputFile {
    destination: Destination,
    written: bool,
}

#[derive(Debug)]
enum Destination {
    Stdout,
    File { path: PathBuf, file: File, created: bool },
}

impl OutputFile {
    /// Opens the output; `-` is standard output. With `force` a file that somebody else has written is one to write to, too.
    ///
    /// # Errors
    /// When it cannot be written, or must not be.
    pub fn open(path: &Path, force: bool) -> Result<OutputFile, Failure> {
        OutputFile::open_with_mode(path, force, 0o666)
    }

    /// The same, with the mode of a file that is made, before the umask.
    ///
    /// # Errors
    /// As of [`open`](OutputFile::open).
    pub fn open_with_mode(path: &Path, force: bool, mode: u32) -> Result<OutputFile, Failure> {
        if path == Path::new("-") {
            return Ok(OutputFile { destination: Destination::Stdout, written: false });
        }
        if !force && is_foreign(path) {
            return Err(Failure::new(format_args!("`{}` exists, and fpprof has not written it", path.display()))
                .with_hint("Choose another place, or replace it with `--force`."));
        }
        // What is there is kept until there is something to put in its place.
        let open = || match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok((OpenOptions::new().write(true).open(path)?, false))
            }
            result => Ok((result?, true)),
        };
        let (file, created) = open().map_err(|error: io::Error| {
            Failure::new(format_args!("the output `{}` cannot be written: {error}", path.display()))
                .with_hint("Choose another place with `--output FILE`; `--output -` writes to standard output.")
        })?;
        Ok(OutputFile { destination: Destination::File { path: path.to_owned(), file, created }, written: false })
    }

    /// The path, unless it is standard output.
    pub fn path(&self) -> Option<&Path> {
        match &self.destination {
            Destination::Stdout => None,
            Destination::File { path, .. } => Some(path),
        }
    }

    /// Whether writing can wait for somebody who reads: a pipe, a terminal.
    pub fn can_block(&self) -> bool {
        match &self.destination {
            Destination::Stdout => true,
            Destination::File { file, .. } => !file.metadata().is_ok_and(|metadata| metadata.is_file()),
        }
    }

    /// The file, emptied, to write to while recording; `None` for what is no file: who reads a pipe could hold samples up.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn stream(&mut self) -> io::Result<Option<File>> {
        let Destination::File { file, .. } = &self.destination else { return Ok(None) };
        if self.can_block() {
            return Ok(None);
        }
        file.set_len(0)?;
        let file = file.try_clone()?;
        self.written = true;
        Ok(Some(file))
    }

    /// Replaces the contents by what `write` gives.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        let result = match &mut self.destination {
            Destination::Stdout => write(&mut io::stdout().lock()),
            Destination::File { file, .. } => {
                // A pipe or a terminal has no length to set.
                let _ = file.set_len(0);
                let mut buffered = BufWriter::new(file);
                write(&mut buffered).and_then(|()| buffered.flush())
            }
        };
        self.written = result.is_ok();
        match result {
            // Whoever reads a pipe may stop at any time: `fpprof record -o - … | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| not_written(&error)),
        }
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Destination::File { path, created: true, .. } = &self.destination
            && !self.written
        {
            // An empty file would only be mistaken for a result.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Tells that writing an output has failed.
pub fn not_written(error: &io::Error) -> Failure {
    Failure::new(format_args!("the output cannot be written: {error}"))
        .with_hint("Is there space left where it goes (`df`), and is it within the limits (`ulimit -f`)? Choose another place with `--output FILE`.")
}

/// Whether there is a file with something in it that fpprof has not written, or that cannot be looked at.
fn is_foreign(path: &Path) -> bool {
    if !path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return false;
    }
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(mark::ENOUGH).read_to_end(&mut beginning));
    read.is_err() || !mark::is_own(&beginning)
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

/// The name of an output that was not named: `python3.13-1234-20260131T235959Z.svg`.
pub fn default_name(program: &str, pid: Pid, at: SystemTime, extension: &str) -> PathBuf {
    let program: String =
        program.chars().map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    PathBuf::from(format!("{program}-{pid}-{}.{extension}", timestamp(at)))
}

/// A point in time in the basic form of ISO 8601, in UTC.
fn timestamp(at: SystemTime) -> String {
    let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, seconds) = (since_epoch / 86_400, since_epoch % 86_400);
    let (year, month, day) = civil_date(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The date of a number of days since 1970-01-01, by eras of 400 years that begin in March, so that a leap day is the
/// last day of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_says_what_who_and_when() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(951_827_696);
        assert_eq!(default_name("python 3/x", Pid(7), at, "svg"), Path::new("python_3_x-7-20000229T123456Z.svg"));
    }

    #[test]
    fn an_output_that_was_not_written_leaves_nothing() {
        let path = std::env::temp_dir().join(format!("fpprof-output-{}", std::process::id()));
        drop(OutputFile::open(&path, false).unwrap());
        assert!(!path.exists());
        let mut output = OutputFile::open(&path, false).unwrap();
        output.write(|w| w.write_all(b"long contents")).unwrap();
        drop(output);
        let refused = OutputFile::open(&path, false).unwrap_err();
        assert!(refused.hint.contains("--force"));
        let mut output = OutputFile::open(&path, true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"long contents", "what was there is kept until it is replaced");
        output.write(|w| w.write_all(b"short")).unwrap();
        drop(output);
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_output_that_cannot_be_written_says_so() {
        let failure = OutputFile::open(Path::new("/nowhere/at/all.svg"), false).unwrap_err();
        assert!(failure.to_string().contains("/nowhere/at/all.svg"));
    }
}
