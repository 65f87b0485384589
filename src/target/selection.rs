//! Which processes are wanted: by their ids, by what they are called, by the control group they are in, and with their descendants.
//!
//! Does: say of one process whether it is chosen. Does not: look for processes (`process_table` does), or look into one.

use super::process_table::ProcessEntry;
use super::small_file;
use crate::types::Pid;
use crate::types::pattern::is_like;

/// A command line that is longer is compared by its beginning.
const MAX_COMMAND_LINE: u64 = 16 << 10;
/// A path of the kernel's has at most 4,096 bytes, and a process has one for each of a dozen hierarchies.
const MAX_MEMBERSHIP: u64 = 64 << 10;
/// The fewest digits of a container's id that name it: fewer are as likely a part of another's.
const MIN_ID_DIGITS: usize = 6;
/// The digits of a container's whole id (docker, containerd, CRI-O and podman make a SHA-256 sum's).
const ID_DIGITS: usize = 64;

/// Which processes are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// These.
    pub pids: Vec<Pid>,
    /// Those whose command line is like one of these patterns.
    pub names: Vec<String>,
    /// Those in one of these control groups, or below it: a path as `/proc/PID/cgroup` shows it.
    pub cgroups: Vec<String>,
    /// Those of a container whose id begins with one of these.
    pub containers: Vec<String>,
    /// All.
    pub all: bool,
    /// The descendants of those, too.
    pub descendants: bool,
    /// And of all these not those whose command line is like one of these patterns.
    pub without: Vec<String>,
}

impl Selection {
    /// A process and its descendants.
    pub fn tree(pid: Pid) -> Selection {
        Selection { pids: vec![pid], descendants: true, ..Selection::default() }
    }

    /// Whether any process can be chosen by something that it may become later: by its command line or its group.
    pub fn is_open(&self) -> bool {
        self.all || !self.names.is_empty() || !self.cgroups.is_empty() || !self.containers.is_empty()
    }

    /// Whether a process is wanted: one that is chosen by its id (`is_named`: it has not got that of another), one whose parent is
    /// wanted (`is_of_one`), or neither.
    pub fn chooses(&self, process: &ProcessEntry, (is_named, is_of_one): (bool, bool)) -> bool {
        let pid = process.pid;
        let is_chosen = self.all
            || is_named
            || is_of_one && self.descendants
            || is_one_like(&self.names, process)
            || self.is_in_a_group(pid);
        is_chosen && !is_one_like(&self.without, process)
    }

    fn is_in_a_group(&self, pid: Pid) -> bool {
        if self.cgroups.is_empty() && self.containers.is_empty() {
            return false;
        }
        let Some(text) = read(&format!("/proc/{pid}/cgroup"), MAX_MEMBERSHIP) else { return false };
        groups(&text).any(|group| {
            self.cgroups.iter().any(|wanted| is_below(group, wanted))
                || self.containers.iter().any(|id| is_of_container(group, id))
        })
    }
}

/// Whether a text can be the beginning of a container's id.
pub fn is_container_id(text: &str) -> bool {
    (MIN_ID_DIGITS..=ID_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the command line is like one of the patterns; of a process that has none, its name.
fn is_one_like(patterns: &[String], process: &ProcessEntry) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let text = command_line(process.pid).filter(|text| !text.is_empty()).unwrap_or_else(|| process.name.clone());
    patterns.iter().any(|pattern| is_like(pattern, &text))
}

/// The command line of a process, its arguments separated by spaces.
pub fn command_line(pid: Pid) -> Option<String> {
    let text = read(&format!("/proc/{pid}/cmdline"), MAX_COMMAND_LINE)?;
    Some(text.trim_end_matches('\0').replace('\0', " "))
}

/// The paths of the groups of a process (cgroups(7): `hierarchy:controllers:path`).
fn groups(membership: &str) -> impl Iterator<Item = &str> {
    membership.lines().filter_map(|line| line.splitn(3, ':').nth(2))
}

/// Whether a group is another or below it.
fn is_below(group: &str, wanted: &str) -> bool {
    let wanted = wanted.strip_prefix("/sys/fs/cgroup").unwrap_or(wanted).trim_matches('/');
    let group = group.trim_matches('/');
    wanted.is_empty() || group.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a group's path holds a container's id that begins so: `docker-ID.scope`, `cri-containerd-ID.scope`, `libpod-ID.scope/container`,
/// `/docker/ID`, `/kubepods/…/ID`.
fn is_of_container(group: &str, id: &str) -> bool {
    let parts = group.split(|character: char| !character.is_ascii_alphanumeric());
    parts.filter(|part| part.len() == ID_DIGITS && is_container_id(part)).any(|part| part.starts_with(id))
}

fn read(path: &str, most: u64) -> Option<String> {
    let bytes = small_file::read(path, most).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn own() -> ProcessEntry {
        ProcessEntry::of(Pid(std::process::id() as i32)).unwrap()
    }

    #[test]
    fn containers_are_told_by_their_ids() {
        let other = ID.replace('0', "f");
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
        ] {
            assert!(is_of_container(&path, "0123456"), "{path}");
            assert!(is_of_container(&path, ID), "{path}");
            assert!(!is_of_container(&path, "123456"), "{path}");
            assert!(!is_of_container(&path.replace(ID, &other), "0123456"), "{path}");
        }
        assert!(!is_of_container("/user.slice/0123456", "0123456"), "no whole id");
        assert!(is_container_id("0123ab") && !is_container_id("0123a") && !is_container_id("web-1-frontend"));
    }

    #[test]
    fn a_group_holds_those_below_it() {
        assert!(is_below("/system.slice/web.service/worker", "/system.slice/web.service"));
        assert!(is_below("/system.slice/web.service", "system.slice/web.service/"));
        assert!(is_below("/system.slice/web.service", "/sys/fs/cgroup/system.slice"));
        assert!(!is_below("/system.slice/web.service-2", "/system.slice/web.service"));
        assert!(!is_below("/system.slice", "/system.slice/web.service"));
    }

    #[test]
    fn a_process_is_chosen_by_any_and_left_out_by_one() {
        let (own, none) = (own(), Selection::default());
        let (named, child, neither) = ((true, false), (false, true), (false, false));
        assert!(!none.chooses(&own, child) && !none.is_open());
        assert!(Selection::tree(own.pid).chooses(&own, named));
        assert!(!Selection::tree(own.pid).chooses(&own, neither), "another has its id");
        assert!(Selection::tree(own.parent).chooses(&own, child));
        assert!(!Selection::tree(own.parent).chooses(&own, neither));
        let name = command_line(own.pid).unwrap();
        let like_it = Selection { names: vec![name], ..none.clone() };
        assert!(like_it.chooses(&own, neither) && like_it.is_open());
        assert!(!Selection { without: vec!["".into()], ..like_it }.chooses(&own, neither));
        assert!(Selection { cgroups: vec!["/".into()], ..none }.chooses(&own, neither));
    }
}
