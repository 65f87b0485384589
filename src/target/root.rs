//! The target's root directory, kept open.
//!
//! Does: open regular files as the target sees them, also when it lives in a container or has ended since; symbolic
//! links, absolute ones too, stay inside that root.
//! Does not: open anything that is not a regular file: opening a FIFO or a device can block, or disturb the target.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};

use super::living::LivingThread;
use crate::types::Pid;

/// The kernel's own limit for one path resolution (`path_resolution(7)`).
const MAX_SYMBOLIC_LINKS: usize = 40;
/// `PATH_MAX`: no path is longer, so none has more components.
const MAX_COMPONENTS: usize = 4096;

/// Two roots with the same are the same directory, with the same mounts below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootIdentity {
    device: u64,
    inode: u64,
    /// `mnt_id` (proc_pid_fdinfo(5)): each mount namespace has its own.
    mount: u64,
}

/// A root directory that stays reachable for as long as this value lives.
#[derive(Debug)]
pub struct TargetRoot {
    directory: OwnedFd,
    /// Where it is in our own tree, if it is another directory than our root: where a chroot(2) went.
    seen_at: Option<PathBuf>,
}

impl TargetRoot {
    /// The root of a process.
    ///
    /// Fails when the process is gone or may not be inspected.
    pub fn of(pid: Pid) -> io::Result<TargetRoot> {
        TargetRoot::through(&LivingThread::of(pid))
    }

    /// The root of the process of a thread.
    pub(super) fn through(living: &LivingThread) -> io::Result<TargetRoot> {
        let link = living.path("root");
        let seen_at = std::fs::read_link(&link).ok().filter(|path| path != Path::new("/"));
        Ok(TargetRoot { seen_at, ..TargetRoot::at(Path::new(&link))? })
    }

    /// Any directory, as a root.
    pub fn at(path: &Path) -> io::Result<TargetRoot> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(path, flags, Mode::empty())?;
        Ok(TargetRoot { directory, seen_at: None })
    }

    /// Which directory it is, and in which mount; `None` when the system does not tell.
    pub fn identity(&self) -> Option<RootIdentity> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.directory.as_raw_fd())).ok()?;
        let mount = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
        let status = fstat(&self.directory).ok()?;
        Some(RootIdentity { device: status.st_dev, inode: status.st_ino, mount })
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
    /// Fails as `open(2)` does, and with [`io::ErrorKind::InvalidInput`] for anything but a regular file.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let found = match self.resolve(path) {
            // Older than Linux 5.6, or forbidden by a container's system call filter.
            Err(Errno::ENOSYS | Errno::EPERM) => self.walk(path)?,
            result => result?,
        };
        open_regular(&found)
    }

    fn resolve(&self, path: &Path) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let mut result = Err(Errno::EAGAIN);
        // EAGAIN: something was renamed meanwhile (`openat2(2)`).
        for _ in 0..4 {
            result = openat2(&self.directory, path, OpenHow::new().flags(flags).resolve(resolve));
            if !matches!(result, Err(Errno::EAGAIN)) {
                break;
            }
        }
        result
    }

    /// The same, component by component.
    fn walk(&self, path: &Path) -> nix::Result<OwnedFd> {
        let mut pending = components(path);
        // The directories from below the root down to where the walk is.
        let mut above: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            let here = above.last().unwrap_or(&self.directory);
            if name == "/" {
                above.clear();
            } else if name == ".." {
                above.pop();
            } else if is_link(here, &name)? {
                links += 1;
                let target = readlinkat(here, name.as_os_str())?;
                pending.extend(components(Path::new(&target)));
                if links > MAX_SYMBOLIC_LINKS || pending.len() > MAX_COMPONENTS {
                    return Err(Errno::ELOOP);
                }
            } else {
                let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                above.push(openat(here, name.as_os_str(), flags, Mode::empty())?);
            }
        }
        above.pop().ok_or(Errno::EISDIR)
    }
}

/// A path's components, last first, with "/" for the root and ".." for a parent.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().take(MAX_COMPONENTS).filter(|c| *c != Component::CurDir);
    let mut names: Vec<OsString> = names.map(|c| OsStr::to_os_string(c.as_os_str())).collect();
    names.reverse();
    names
}

fn is_link(directory: &OwnedFd, name: &OsStr) -> nix::Result<bool> {
    let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(file_type(stat.st_mode) == SFlag::S_IFLNK)
}

fn file_type(mode: u32) -> SFlag {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT
}

/// Opens what an `O_PATH` descriptor stands for, once it is known to be a regular file.
fn open_regular(found: &OwnedFd) -> io::Result<File> {
    if file_type(fstat(found)?.st_mode) != SFlag::S_IFREG {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // O_NONBLOCK: a file lease of another process would make the open wait for it (`fcntl(2)`).
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let file = nix::fcntl::open(format!("/proc/self/fd/{}", found.as_raw_fd()).as_str(), flags, Mode::empty())?;
    Ok(File::from(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// A directory of its own for one test, removed afterwards.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("fpprof-root-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("a/b")).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn text(file: io::Result<File>) -> String {
        let mut text = String::new();
        file.unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn links_stay_inside_the_root_by_either_way() {
        let scratch = Scratch::new("links");
        let top = &scratch.0;
        fs::write(top.join("a/b/file"), "inside").unwrap();
        symlink("/a/b", top.join("absolute")).unwrap();
        symlink("../../../../../a/b/file", top.join("a/upwards")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        symlink("/etc/passwd", top.join("outside")).unwrap();
        let root = TargetRoot::at(top).unwrap();
        let walked = |path: &str| root.walk(Path::new(path)).map_err(io::Error::from).and_then(|fd| open_regular(&fd));
        for path in ["/a/b/file", "a/./b/../b/file", "/absolute/file", "/../../a/upwards"] {
            assert_eq!(text(root.open(Path::new(path))), "inside", "{path}");
            assert_eq!(text(walked(path)), "inside", "{path}");
        }
        for path in ["/loop", "/outside", "/a/b/file/x", "/none", "/", "/a"] {
            assert!(root.open(Path::new(path)).is_err(), "{path}");
            assert!(walked(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_fifo_is_refused_without_being_opened() {
        let scratch = Scratch::new("fifo");
        let fifo = scratch.0.join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let root = TargetRoot::at(&scratch.0).unwrap();
        let error = root.open(Path::new("/fifo")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn paths_are_named_as_from_inside_a_chroot() {
        let named = |seen_at: Option<&str>, path: &str| {
            let root = TargetRoot { seen_at: seen_at.map(PathBuf::from), ..TargetRoot::at(Path::new("/")).unwrap() };
            root.as_target_names(PathBuf::from(path)).display().to_string()
        };
        assert_eq!(named(Some("/srv/sid"), "/srv/sid/usr/bin/python3"), "/usr/bin/python3");
        assert_eq!(named(Some("/srv/sid"), "/srv/sid"), "/");
        assert_eq!(named(Some("/srv/sid"), "/srv/sidecar/x"), "/srv/sidecar/x");
        assert_eq!(named(None, "/usr/bin/python3"), "/usr/bin/python3");
    }

    #[test]
    fn a_root_outlives_its_process() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let root = TargetRoot::of(Pid(child.id() as i32)).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(root.open(Path::new("/proc/self/maps")).is_ok());
    }
}
