//! The control groups that limit a process's CPU time: its own, and those around it.
//!
//! Does: find their folders, by `/proc/PID/cgroup` and by where their file systems are mounted here (cgroups(7),
//! proc_pid_mountinfo(5)), in version 1 and 2; read their files. Does not: change a group, or parse its files (`cpu_quota` does).

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::cpu_quota::{self, CpuQuota, Throttled};
use super::threads;
use crate::types::{Nanos, Pid};

/// A machine with many containers has thousands of mounts.
const MAX_MOUNTINFO: u64 = 4 << 20;
/// A path of the kernel's has at most 4,096 bytes, and a process has one for each of a dozen hierarchies.
const MAX_MEMBERSHIP: u64 = 64 << 10;
/// What a group's files have at most is some hundred bytes.
const MAX_FILE: usize = 4 << 10;
/// More groups around each other than anyone makes.
const MAX_LEVELS: usize = 64;

/// Which version of control groups a hierarchy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A file system of control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// The group that is seen at the mount point.
    root: PathBuf,
    point: PathBuf,
}

/// Where control groups with CPU quotas can be seen.
#[derive(Debug, Clone, Default)]
pub struct CpuGroups {
    mounts: Vec<Mount>,
}

/// One control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuGroup {
    version: Version,
    folder: PathBuf,
}

/// The file that tells how much CPU time a group has used: kept open.
#[derive(Debug)]
pub struct UsedTime {
    file: File,
    version: Version,
}

impl CpuGroups {
    /// As this process sees them; none where nothing is mounted.
    pub fn here() -> CpuGroups {
        let text = read_text(Path::new("/proc/self/mountinfo"), MAX_MOUNTINFO).unwrap_or_default();
        CpuGroups { mounts: text.lines().filter_map(mount).collect() }
    }

    /// The groups of this process, each before those around it.
    pub fn own(&self) -> Vec<CpuGroup> {
        self.listed_in(Path::new("/proc/self/cgroup"))
    }

    /// The same of another process; none when it is gone.
    pub fn of(&self, pid: Pid) -> Vec<CpuGroup> {
        self.listed_in(Path::new(&format!("/proc/{pid}/cgroup")))
    }

    fn listed_in(&self, file: &Path) -> Vec<CpuGroup> {
        read_text(file, MAX_MEMBERSHIP).map_or_else(Vec::new, |text| self.of_membership(&text))
    }

    fn of_membership(&self, text: &str) -> Vec<CpuGroup> {
        let groups = [Version::One, Version::Two].into_iter().filter_map(|version| {
            let path = membership(text, version)?;
            self.mounts.iter().find_map(|mount| mount.levels(version, path))
        });
        groups.flatten().collect()
    }
}

impl Mount {
    /// The group with this path and those around it that are seen here.
    fn levels(&self, version: Version, path: &Path) -> Option<Vec<CpuGroup>> {
        let inside = path.strip_prefix(&self.root).ok().filter(|_| self.version == version)?;
        // A group outside the namespace of groups in which we are is shown as `/../…`.
        let is_plain = inside.components().all(|component| matches!(component, Component::Normal(_)));
        let levels = inside.ancestors().take(MAX_LEVELS);
        let groups = levels.map(|level| CpuGroup { version, folder: self.point.join(level) });
        is_plain.then(|| groups.collect())
    }
}

impl CpuGroup {
    /// A group that is gone, for tests.
    #[cfg(test)]
    pub(crate) fn gone() -> CpuGroup {
        CpuGroup { version: Version::Two, folder: PathBuf::from("/nonexistent") }
    }

    /// Its quota; `None` if it has none of its own.
    pub fn quota(&self) -> Option<CpuQuota> {
        match self.version {
            Version::One => CpuQuota::of_cfs(&self.read("cpu.cfs_quota_us")?, &self.read("cpu.cfs_period_us")?),
            Version::Two => CpuQuota::of_cpu_max(&self.read("cpu.max")?),
        }
    }

    /// How often it was throttled.
    pub fn throttled(&self) -> Option<Throttled> {
        Throttled::of_cpu_stat(&self.read("cpu.stat")?)
    }

    /// Opens the file that tells how much CPU time it has used; `None` where none does: in version 1 that is another controller.
    pub fn used_time(&self) -> Option<UsedTime> {
        let name = match self.version {
            Version::One => "cpuacct.usage",
            Version::Two => "cpu.stat",
        };
        Some(UsedTime { file: File::open(self.folder.join(name)).ok()?, version: self.version })
    }

    fn read(&self, name: &str) -> Option<String> {
        read_text(&self.folder.join(name), MAX_FILE as u64)
    }
}

impl UsedTime {
    /// The CPU time that the group has used so far; `None` when it is gone.
    pub fn now(&self) -> Option<Nanos> {
        let mut buffer = [0; MAX_FILE];
        let text = threads::read_text(&self.file, &mut buffer).ok()?;
        match self.version {
            Version::One => cpu_quota::used_of_cpuacct(text),
            Version::Two => cpu_quota::used_of_cpu_stat(text),
        }
    }
}

/// The path of a process's group in `/proc/PID/cgroup`, whose lines are `NUMBER:CONTROLLERS:PATH`: in version 1 of the hierarchy with
/// the `cpu` controller, in version 2 of the only one, whose line has number 0 and no controllers.
fn membership(text: &str, version: Version) -> Option<&Path> {
    text.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = match version {
            Version::One => controllers.split(',').any(|controller| controller == "cpu"),
            Version::Two => number == "0" && controllers.is_empty(),
        };
        is_it.then_some(Path::new(path))
    })
}

/// What a line of mountinfo says of a hierarchy that may have CPU quotas: `ID PARENT DEVICE ROOT POINT OPTIONS … - TYPE SOURCE OPTIONS`.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    let version = match kind {
        "cgroup2" => Version::Two,
        "cgroup" if options.split(',').any(|option| option == "cpu") => Version::One,
        _ => return None,
    };
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    Some(Mount { version, root: root.into(), point: point.into() })
}

/// The text of a file, at most so much of it; what is longer is none that is looked for here.
fn read_text(path: &Path, most: u64) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(most).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
24 28 0:22 / /proc rw,nosuid shared:13 - proc proc rw
31 25 0:26 / /sys/fs/cgroup ro,nosuid shared:4 - tmpfs tmpfs ro,mode=755
35 31 0:30 / /sys/fs/cgroup/cpuset rw shared:9 - cgroup cgroup rw,cpuset
36 31 0:31 /docker/f00 /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
37 31 0:32 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw,nsdelegate
";
    const MEMBERSHIP: &str =
        "9:name=systemd:/docker/f00\n4:cpuset:/other\n3:cpu,cpuacct:/docker/f00/worker\n0::/a:b/c\n";

    fn groups(mounts: &str) -> CpuGroups {
        CpuGroups { mounts: mounts.lines().filter_map(mount).collect() }
    }

    fn folders(groups: &[CpuGroup]) -> Vec<&str> {
        groups.iter().map(|group| group.folder.to_str().unwrap()).collect()
    }

    #[test]
    fn groups_are_found_with_those_around_them() {
        assert_eq!(
            folders(&groups(MOUNTS).of_membership(MEMBERSHIP)),
            [
                "/sys/fs/cgroup/cpu,cpuacct/worker",
                "/sys/fs/cgroup/cpu,cpuacct/",
                "/sys/fs/cgroup/unified/a:b/c",
                "/sys/fs/cgroup/unified/a:b",
                "/sys/fs/cgroup/unified/",
            ]
        );
        let only_2 = groups("30 25 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
        let found = only_2.of_membership("0::/system.slice/x.service\n");
        assert_eq!(
            folders(&found),
            ["/sys/fs/cgroup/system.slice/x.service", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/"]
        );
    }

    #[test]
    fn a_group_that_is_not_seen_here_is_none() {
        let groups = groups(MOUNTS);
        for membership in ["3:cpu,cpuacct:/docker\n", "0::/../other\n", "0::/a/../b\n", "3:cpuset:/\n", "0::relative\n"]
        {
            assert_eq!(groups.of_membership(membership), [], "{membership:?}");
        }
    }

    #[test]
    fn garbage_is_no_group() {
        for text in
            ["", "\0", ":", "::", "0:", " - ", " - cgroup2", "a b c - cgroup2 x y", "1 2 3 / - cgroup cgroup cpu"]
        {
            assert_eq!((mount(text), groups(MOUNTS).of_membership(text)), (None, Vec::new()), "{text:?}");
        }
        let deep = format!("0::{}\n", "/x".repeat(1000));
        assert_eq!(groups(MOUNTS).of_membership(&deep).len(), MAX_LEVELS);
    }

    #[test]
    fn files_are_read_in_either_version() {
        let folder = std::env::temp_dir().join(format!("fpprof-cgroup-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("cpu.max", "5000 100000\n");
        write("cpu.stat", "usage_usec 70\nnr_periods 3\nnr_throttled 2\nthrottled_usec 1\n");
        write("cpu.cfs_quota_us", "5000\n");
        write("cpu.cfs_period_us", "100000\n");
        write("cpuacct.usage", "70000\n");
        let quota = CpuQuota { time: Nanos(5_000_000), period: Nanos(100_000_000) };
        let throttled = Throttled { periods: 3, throttled: 2, time: Nanos(1000) };
        for version in [Version::One, Version::Two] {
            let group = CpuGroup { version, folder: folder.clone() };
            assert_eq!((group.quota(), group.throttled()), (Some(quota), Some(throttled)));
            assert_eq!(group.used_time().unwrap().now(), Some(Nanos(70_000)));
        }
        std::fs::remove_dir_all(&folder).unwrap();
        let gone = CpuGroup { version: Version::Two, folder };
        assert!(gone.quota().is_none() && gone.throttled().is_none() && gone.used_time().is_none());
    }

    #[test]
    fn this_process_is_seen() {
        // Whatever groups there are here, each is before those around it.
        let own = CpuGroups::here().own();
        let is_around = |(inner, outer): (&CpuGroup, &CpuGroup)| {
            inner.version != outer.version || inner.folder.starts_with(&outer.folder)
        };
        assert!(own.iter().zip(own.iter().skip(1)).all(is_around), "{own:?}");
        assert_eq!(CpuGroups::here().of(Pid(std::process::id() as i32)), own);
    }
}
