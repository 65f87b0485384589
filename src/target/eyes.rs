//! With whose eyes files are looked at: fpprof reads for a target only what the target's own user could read.
//!
//! Does: remember the credentials that the target has had, and prove on open descriptors what they allow, so that nothing can change
//! between the check and the use. Does not: walk paths (`root`), or decide by modes (`permission`).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::stat::{FileStat, SFlag, fstat};

use super::acl::{ATTRIBUTE, AccessList};
use super::credentials::{Credentials, SharedIds};
use super::living::{LivingThread, start_time};
use super::permission::{self, Guarded, Wanted};

/// A process that changes its user more often has nothing read for it any more.
const MAX_CHANGES: usize = 64;
/// The longest access list that is believed, in bytes: some 500 entries.
const MAX_LIST: usize = 4096;

/// File systems in which the kernel decides at each read, or by what a file is, and not by the mode alone: a mode there proves nothing.
/// Their numbers are from include/uapi/linux/magic.h, and that of configfs from fs/configfs/mount.c.
const OF_THE_KERNEL: [u64; 15] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinux
    0x4341_5d53, // smack
    0x4249_4e4d, // binfmt_misc
    0x6573_5543, // fusectl
];

/// Why a file is not read though it may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not the target's user's to read.
    #[error("{0} may not read it")]
    MayNotRead(Who),
    /// A folder on the way to it is not the target's user's to search.
    #[error("{0} may not search a folder on the way to it")]
    MayNotSearch(Who),
    /// A link on the way to it leads somebody else.
    #[error("a link on the way to it is of another user, in a folder that anybody may write to")]
    ForeignLink,
    /// Its mode does not tell who may read it.
    #[error("it is the kernel's, and its mode does not tell who may read it")]
    OfTheKernel,
    /// It is not known whose program it is.
    #[error("the program's user cannot be told")]
    UnknownUser,
}

/// Who may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A user that the target has, or has had.
    User(u32),
    /// Everybody, where only what is open to all is read.
    Everybody,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::User(user) => write!(f, "the program's user ({user})"),
            Who::Everybody => f.write_str("some users"),
        }
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, refusal)
    }
}

/// Whose eyes.
#[derive(Debug)]
pub(super) enum Eyes {
    /// fpprof's own: what its user names.
    Own,
    /// Anybody's.
    Anybody,
    /// A target's.
    Target(TargetEyes),
}

/// A target's credentials, over time.
#[derive(Debug)]
pub(super) struct TargetEyes {
    living: LivingThread,
    start_time: Option<u64>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// All that it has had, each once.
    credentials: Arc<[Credentials]>,
    /// They could not be read while it lived.
    is_unknown: bool,
}

impl TargetEyes {
    pub(super) fn of(living: &LivingThread) -> TargetEyes {
        let living = LivingThread::of(living.pid());
        let start_time = start_time(living.pid());
        let eyes = TargetEyes { living, start_time, seen: Mutex::default() };
        eyes.look();
        eyes
    }

    /// Takes note of the credentials that it has now, if it lives. A program can give up rights, and what it names from then on is to be
    /// judged by those it has left; one that has ended is judged by what it had.
    pub(super) fn look(&self) {
        let mut now = Credentials::of(&self.living);
        if now.is_err() && self.living.follow() {
            now = Credentials::of(&self.living);
        }
        // After they were read: its number may be another process's by now.
        if self.start_time.is_none() || start_time(self.living.pid()) != self.start_time {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match now {
            Ok(now) if seen.credentials.contains(&now) => {}
            Ok(now) if seen.credentials.len() < MAX_CHANGES => {
                seen.credentials = seen.credentials.iter().cloned().chain([now]).collect();
            }
            _ => seen.is_unknown = true,
        }
    }

    fn reader(&self) -> Reader {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = (!seen.is_unknown && !seen.credentials.is_empty()).then(|| Arc::clone(&seen.credentials));
        known.map_or(Reader::Nobody, Reader::Users)
    }
}

impl Eyes {
    /// Who reads now.
    pub(super) fn reader(&self) -> Reader {
        match self {
            Eyes::Own => Reader::Own,
            Eyes::Anybody => Reader::Anybody,
            Eyes::Target(target) => {
                target.look();
                target.reader()
            }
        }
    }
}

/// Who reads, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Reader {
    /// fpprof: the system judges.
    Own,
    /// Anybody.
    Anybody,
    /// All of these: each of them has to be allowed.
    Users(Arc<[Credentials]>),
    /// It is not known who.
    Nobody,
}

impl Reader {
    /// Whether an open folder may be searched.
    pub(super) fn check_search(&self, folder: &OwnedFd) -> io::Result<()> {
        self.check(folder, Wanted::Search, Refusal::MayNotSearch)
    }

    /// Whether an open file, of which nothing is read yet, may be read.
    pub(super) fn check_read(&self, file: &OwnedFd) -> io::Result<()> {
        if *self != Reader::Own && is_of_the_kernel(file)? {
            return Err(Refusal::OfTheKernel.into());
        }
        self.check(file, Wanted::Read, Refusal::MayNotRead)
    }

    /// Whether an open link in an open folder may be followed.
    pub(super) fn check_follow(&self, link: &FileStat, folder: &OwnedFd) -> io::Result<()> {
        let folder = guarded(&fstat(folder)?);
        let follows = match self {
            Reader::Own => true,
            // Whoever it is, they are not the link's owner.
            Reader::Anybody => {
                let nobody = Credentials { user: folder.user, groups: Vec::new(), reads_everything: false };
                permission::may_follow(&nobody, link.st_uid, folder)
            }
            Reader::Users(users) => users.iter().all(|who| permission::may_follow(who, link.st_uid, folder)),
            Reader::Nobody => false,
        };
        if follows { Ok(()) } else { Err(Refusal::ForeignLink.into()) }
    }

    /// Whether a file of this owner is the target's own, or the system's: of user 0.
    pub(super) fn is_own(&self, owner: u32) -> bool {
        let is_known = SharedIds::here().user != Some(owner);
        let is_its = match self {
            Reader::Own => owner == nix::unistd::geteuid().as_raw(),
            Reader::Users(users) => users.iter().any(|who| who.user == owner),
            Reader::Anybody | Reader::Nobody => false,
        };
        owner == 0 || is_its && is_known
    }

    fn check(&self, what: &OwnedFd, wanted: Wanted, refusal: fn(Who) -> Refusal) -> io::Result<()> {
        let users = match self {
            Reader::Own => return Ok(()),
            Reader::Nobody => return Err(Refusal::UnknownUser.into()),
            Reader::Anybody => {
                let is_open = permission::is_open_to_all(guarded(&fstat(what)?), wanted);
                return if is_open { Ok(()) } else { Err(refusal(Who::Everybody).into()) };
            }
            Reader::Users(users) => users,
        };
        let known = (guarded(&fstat(what)?), SharedIds::here());
        let denied = users.iter().find(|who| !permission::allows(who, known, || access_list(what), wanted));
        denied.map_or(Ok(()), |who| Err(refusal(Who::User(who.user)).into()))
    }
}

fn guarded(status: &FileStat) -> Guarded {
    Guarded { user: status.st_uid, group: status.st_gid, mode: status.st_mode }
}

/// The kind of an open file.
pub(super) fn file_type(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

/// Whether a file is in one of the kernel's own file systems, where to read one can do something.
pub(super) fn is_of_the_kernel(file: impl AsFd) -> io::Result<bool> {
    Ok(OF_THE_KERNEL.contains(&file_system(file)?))
}

/// The number by which the kernel tells a kind of file system.
fn file_system(file: impl AsFd) -> io::Result<u64> {
    // Of the 64 bits of the field only the lower ones are used.
    Ok(rustix::fs::fstatfs(file)?.f_type.cast_unsigned())
}

/// The access list of an open file; `None` where it has none.
fn access_list(file: &OwnedFd) -> io::Result<Option<AccessList>> {
    use rustix::io::Errno;
    let mut attribute = [0; MAX_LIST];
    // A descriptor that only stands for its file (O_PATH) has no attributes to read; the link to it in proc leads to the same file.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::getxattr(path, ATTRIBUTE, &mut attribute) {
        Ok(length) => {
            let list = AccessList::parse(attribute.get(..length).unwrap_or_default());
            list.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
