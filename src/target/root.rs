//! The target's root directory, kept open.
//!
//! Does: open regular files as the target sees them, also when it lives in a container or has ended since, and only those that its own
//! user could read, whatever fpprof may; symbolic links, absolute ones too, stay inside that root.
//! Does not: open anything that is not a regular file: opening a FIFO or a device can block, or disturb the target.
//!
//! A path is walked folder by folder on open descriptors, and each is judged by its own (`eyes`). What is found so is opened through its
//! descriptor: nothing that is renamed or replaced meanwhile is met.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};

use super::eyes::{Eyes, Reader, TargetEyes, file_type};
use super::living::LivingThread;
use crate::types::Pid;

/// The kernel's own limit for one path resolution (`path_resolution(7)`).
const MAX_SYMBOLIC_LINKS: usize = 40;
/// `PATH_MAX`: no path is longer, so none has more components.
const MAX_COMPONENTS: usize = 4096;

/// Two roots with the same are the same directory, with the same mounts below it, looked at with the same eyes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RootIdentity {
    reader: Reader,
    device: u64,
    inode: u64,
    /// `mnt_id` (proc_pid_fdinfo(5)): each mount namespace has its own.
    mount: u64,
}

/// A root directory that stays reachable for as long as this value lives.
#[derive(Debug)]
pub struct TargetRoot {
    /// Or why the system does not let it be opened.
    directory: Result<OwnedFd, Errno>,
    /// Where it is in our own tree, if it is another directory than our root: where a chroot(2) went.
    seen_at: Option<PathBuf>,
    eyes: Eyes,
}

impl TargetRoot {
    /// The root of a process, with the eyes of its user.
    ///
    /// Fails when the process is gone. One whose root alone may not be followed is a root in which nothing can be opened.
    pub fn of(pid: Pid) -> io::Result<TargetRoot> {
        TargetRoot::through(&LivingThread::of(pid))
    }

    /// The root of the process of a thread.
    pub(super) fn through(living: &LivingThread) -> io::Result<TargetRoot> {
        let link = living.path("root");
        let seen_at = std::fs::read_link(&link).ok().filter(|path| path != Path::new("/"));
        let eyes = Eyes::Target(TargetEyes::of(living));
        let directory = match TargetRoot::directory_at(Path::new(&link)) {
            Err(error) if !matches!(error, Errno::EACCES | Errno::EPERM) => return Err(error.into()),
            directory => directory,
        };
        Ok(TargetRoot { directory, seen_at, eyes })
    }

    /// Any directory, as a root, with fpprof's own eyes: one that its user has named, or its own system's.
    pub fn at(path: &Path) -> io::Result<TargetRoot> {
        Ok(TargetRoot { directory: Ok(TargetRoot::directory_at(path)?), seen_at: None, eyes: Eyes::Own })
    }

    fn directory_at(path: &Path) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        nix::fcntl::open(path, flags, Mode::empty())
    }

    /// Why nothing in it can be opened, if the system does not let it be followed.
    pub fn refusal(&self) -> Option<io::Error> {
        self.directory.as_ref().err().map(|errno| (*errno).into())
    }

    /// The same, of which it is known where it is: paths that lead there are taken for those inside it.
    #[must_use]
    pub fn seen_at(self, path: &Path) -> TargetRoot {
        TargetRoot { seen_at: Some(path.to_owned()).filter(|path| path != Path::new("/")), ..self }
    }

    /// The same, of whose files only those are opened that everybody may read.
    #[must_use]
    pub fn open_to_all(self) -> TargetRoot {
        TargetRoot { eyes: Eyes::Anybody, ..self }
    }

    /// Takes note of the user that the target has now. To be called when it has named files: it may give up rights, and end, before these
    /// are opened.
    pub fn note_user(&self) {
        if let Eyes::Target(eyes) = &self.eyes {
            eyes.look();
        }
    }

    /// Whether a file is of the target's user, or of user 0. A root of fpprof's own takes fpprof's user for the target's.
    pub fn is_owner_trusted(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|metadata| self.eyes.reader().is_own(metadata.uid()))
    }

    /// Which directory it is, and in which mount; `None` when the system does not tell.
    pub fn identity(&self) -> Option<RootIdentity> {
        let directory = self.directory.as_ref().ok()?;
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", directory.as_raw_fd())).ok()?;
        let mount = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
        let status = fstat(directory).ok()?;
        Some(RootIdentity { reader: self.eyes.reader(), device: status.st_dev, inode: status.st_ino, mount })
    }

    /// A path as the target names it, of one as `/proc` shows it to us: the kernel writes paths relative to the root
    /// of whoever reads them (`d_path`), and a root in another mount namespace reads as `/` already.
    pub fn as_target_names(&self, path: PathBuf) -> PathBuf {
        match self.seen_at.as_deref().and_then(|root| path.strip_prefix(root).ok()) {
            Some(inside) => Path::new("/").join(inside),
            None => path,
        }
    }

    /// Opens a regular file for reading; `path` is as the target sees it, and a relative one begins at the root.
    ///
    /// # Errors
    /// Those of `open(2)`; [`io::ErrorKind::InvalidInput`] for anything but a regular file; [`io::ErrorKind::PermissionDenied`], with a
    /// [`Refusal`](super::eyes::Refusal), for one of which it is not proven that the target's user could read it.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        self.open_for(&self.eyes.reader(), path)
    }

    /// The same for a path in fpprof's own root, with the eyes of this one.
    ///
    /// # Errors
    /// As of [`open`](TargetRoot::open).
    pub fn open_in_ours(&self, path: &Path) -> io::Result<File> {
        TargetRoot::at(Path::new("/"))?.open_for(&self.eyes.reader(), path)
    }

    fn open_for(&self, reader: &Reader, path: &Path) -> io::Result<File> {
        let found = match reader {
            Reader::Own => match self.resolve(path) {
                // Older than Linux 5.6, or forbidden by a container's system call filter.
                Err(Errno::ENOSYS | Errno::EPERM) => self.walk(reader, path)?,
                result => result?,
            },
            _ => self.walk(reader, path)?,
        };
        open_regular(reader, &found)
    }

    fn resolve(&self, path: &Path) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let directory = self.directory.as_ref().map_err(|errno| *errno)?;
        let mut result = Err(Errno::EAGAIN);
        // EAGAIN: something was renamed meanwhile (`openat2(2)`).
        for _ in 0..4 {
            result = openat2(directory, path, OpenHow::new().flags(flags).resolve(resolve));
            if !matches!(result, Err(Errno::EAGAIN)) {
                break;
            }
        }
        result
    }

    /// The same, component by component, for somebody who may search each folder on the way.
    fn walk(&self, reader: &Reader, path: &Path) -> io::Result<OwnedFd> {
        let root = self.directory.as_ref().map_err(|errno| *errno)?;
        let mut pending = components(path);
        // The directories from below the root down to where the walk is.
        let mut above: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == "/" {
                above.clear();
                continue;
            }
            let here = above.last().unwrap_or(root);
            reader.check_search(here)?;
            if name == ".." {
                above.pop();
                continue;
            }
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let found = openat(here, name.as_os_str(), flags, Mode::empty())?;
            let status = fstat(&found)?;
            if file_type(&status) != SFlag::S_IFLNK {
                above.push(found);
                continue;
            }
            reader.check_follow(&status, here)?;
            links += 1;
            // The empty path is the link itself (readlinkat(2), since Linux 2.6.39).
            pending.extend(components(Path::new(&readlinkat(&found, "")?)));
            if links > MAX_SYMBOLIC_LINKS || pending.len() > MAX_COMPONENTS {
                return Err(Errno::ELOOP.into());
            }
        }
        above.pop().ok_or_else(|| Errno::EISDIR.into())
    }
}

/// A path's components, last first, with "/" for the root and ".." for a parent.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().take(MAX_COMPONENTS).filter(|c| *c != Component::CurDir);
    let mut names: Vec<OsString> = names.map(|c| OsStr::to_os_string(c.as_os_str())).collect();
    names.reverse();
    names
}

/// Opens what an `O_PATH` descriptor stands for, once it is known to be a regular file that may be read.
fn open_regular(reader: &Reader, found: &OwnedFd) -> io::Result<File> {
    if file_type(&fstat(found)?) != SFlag::S_IFREG {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    reader.check_read(found)?;
    // O_NONBLOCK: a file lease of another process would make the open wait for it (`fcntl(2)`).
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let file = nix::fcntl::open(format!("/proc/self/fd/{}", found.as_raw_fd()).as_str(), flags, Mode::empty())?;
    Ok(File::from(file))
}

#[cfg(test)]
mod tests;
