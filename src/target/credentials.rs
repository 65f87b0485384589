//! What the kernel holds against a file when a process wants to read it: ids and capabilities.
//!
//! Does: read them of a process (proc_pid_status(5), credentials(7)), and tell ids that stand for several users.
//! Does not: judge a file (`permission`).

use std::fs;
use std::io;
use std::sync::OnceLock;

use super::living::LivingThread;
use super::small_file;

/// `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH` (linux/capability.h): either lets a process read any file and search any folder.
const READS_EVERYTHING: u64 = 1 << 1 | 1 << 2;
/// The first line of `/proc/self/uid_map` where no id is without a mapping: that of the first user namespace (user_namespaces(7)).
const ALL_IDS: [&str; 3] = ["0", "0", "4294967295"];
/// The kernel's own choice where it does not say another (`DEFAULT_OVERFLOWUID`, include/linux/highuid.h).
const OVERFLOW: u32 = 65_534;

/// The credentials of a process, as its files are checked against them. Ids are as our user namespace sees them, as those of files are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The user of the file system: the effective one, unless setfsuid(2) has set another.
    pub user: u32,
    /// The group of the file system, and all others.
    pub groups: Vec<u32>,
    /// Whether it may read any file whose owner and group our user namespace knows: by a capability in that namespace.
    pub reads_everything: bool,
}

impl Credentials {
    /// Those of a process.
    ///
    /// # Errors
    /// When they cannot be read, or are not understood.
    pub fn of(living: &LivingThread) -> io::Result<Credentials> {
        let bytes = small_file::read(living.path("status"), small_file::MAX_STATUS)?;
        let credentials = Credentials::parse(&String::from_utf8_lossy(&bytes));
        let mut credentials = credentials.ok_or(io::ErrorKind::InvalidData)?;
        credentials.reads_everything &= is_in_our_namespace(living);
        Ok(credentials)
    }

    /// Parses the status of a process; `None` when a line that is always there is not. Of the capabilities it is not known yet where
    /// they hold.
    fn parse(status: &str) -> Option<Credentials> {
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let number = |text: &str| text.parse::<u32>().ok();
        let of_file_system = |line: &str| line.split_whitespace().nth(3).and_then(number);
        let user = of_file_system(line("Uid:")?)?;
        let group = of_file_system(line("Gid:")?)?;
        let others = line("Groups:")?.split_whitespace().map(number).collect::<Option<Vec<u32>>>()?;
        let capabilities = u64::from_str_radix(line("CapEff:")?.trim(), 16).ok()?;
        let groups = std::iter::once(group).chain(others).collect();
        Some(Credentials { user, groups, reads_everything: capabilities & READS_EVERYTHING != 0 })
    }
}

/// Whether a process is in our user namespace: its capabilities hold in its own one only (capabilities(7)).
fn is_in_our_namespace(living: &LivingThread) -> bool {
    match (fs::read_link("/proc/self/ns/user"), fs::read_link(living.path("ns/user"))) {
        (Ok(ours), Ok(its)) => ours == its,
        // A kernel without user namespaces has one for all.
        (Err(error), Err(_)) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The ids by which our user namespace shows users and groups that it does not know: several can have the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedIds {
    /// That of users; absent where all are known.
    pub user: Option<u32>,
    /// That of groups; absent where all are known.
    pub group: Option<u32>,
}

impl SharedIds {
    /// Those of our user namespace.
    pub fn here() -> SharedIds {
        static HERE: OnceLock<SharedIds> = OnceLock::new();
        let shared = |map: &str, overflow: &str| {
            let map = fs::read_to_string(map).unwrap_or_default();
            shared_id(&map, &fs::read_to_string(overflow).unwrap_or_default())
        };
        *HERE.get_or_init(|| SharedIds {
            user: shared("/proc/self/uid_map", "/proc/sys/kernel/overflowuid"),
            group: shared("/proc/self/gid_map", "/proc/sys/kernel/overflowgid"),
        })
    }
}

/// Whether a map has all ids: that of the first user namespace has.
pub(super) fn has_all_ids(map: &str) -> bool {
    map.lines().next().is_some_and(|line| line.split_whitespace().eq(ALL_IDS))
}

/// The id that stands for unknown ones, by a map of ids; `None` where the map has all.
fn shared_id(map: &str, overflow: &str) -> Option<u32> {
    (!has_all_ids(map)).then(|| overflow.trim().parse().unwrap_or(OVERFLOW))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Pid;

    const STATUS: &str = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t0000000000000004\n";

    #[test]
    fn ids_are_those_of_the_file_system() {
        let credentials = Credentials::parse(STATUS).unwrap();
        assert_eq!(credentials, Credentials { user: 4, groups: vec![8, 9, 10], reads_everything: true });
        let without = Credentials::parse(&STATUS.replace("0004", "0001").replace("9 10 ", "")).unwrap();
        assert_eq!((without.groups, without.reads_everything), (vec![8], false));
        assert!(Credentials::parse(&STATUS.replace("0004", "0002")).unwrap().reads_everything);
    }

    #[test]
    fn a_status_without_one_of_its_lines_tells_nothing() {
        for line in STATUS.lines().skip(1) {
            assert_eq!(Credentials::parse(&STATUS.replace(line, "")), None, "{line}");
            assert_eq!(Credentials::parse(&STATUS.replace(line, &line.replace('\t', "\tx"))), None, "{line}");
        }
    }

    #[test]
    fn this_process_has_its_own() {
        let own = Credentials::of(&LivingThread::of(Pid(std::process::id() as i32))).unwrap();
        assert_eq!(own.user, nix::unistd::geteuid().as_raw());
        assert_eq!(own.groups[0], nix::unistd::getegid().as_raw());
        assert!(Credentials::of(&LivingThread::first(Pid(i32::MAX))).is_err());
    }

    #[test]
    fn an_id_stands_for_several_where_the_map_lacks_some() {
        assert_eq!(shared_id("         0          0 4294967295\n", "65534\n"), None);
        assert_eq!(shared_id("0 100000 65536\n", "65533\n"), Some(65_533));
        assert_eq!(shared_id("", ""), Some(OVERFLOW));
    }
}
