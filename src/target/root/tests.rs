//! Which files of a root are opened, for whom.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use super::*;
use crate::target::acl::ATTRIBUTE;
use crate::target::acl::tests::attribute;
use crate::target::credentials::Credentials;

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
    let walked =
        |path: &str| root.walk(&Reader::Own, Path::new(path)).and_then(|found| open_regular(&Reader::Own, &found));
    for path in ["/a/b/file", "a/./b/../b/file", "/absolute/file", "/../../a/upwards"] {
        assert_eq!(text(root.open(Path::new(path))), "inside", "{path}");
        assert_eq!(text(walked(path)), "inside", "{path}");
    }
    for path in ["/loop", "/outside", "/a/b/file/x", "/none", "/", "/a"] {
        assert!(root.open(Path::new(path)).is_err(), "{path}");
        assert!(walked(path).is_err(), "{path}");
    }
}

/// The user of the files that a test makes, another one of their group, and one who has nothing to do with them.
fn owner_group_other() -> [Reader; 3] {
    let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let reader =
        |user, group| Reader::Users([Credentials { user, groups: vec![group], reads_everything: false }].into());
    [reader(user, group + 1), reader(user + 1, group), reader(user + 1, group + 1)]
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Whether a file is read, or why not.
fn opened(root: &TargetRoot, reader: &Reader, path: &str) -> Result<String, String> {
    root.open_for(reader, Path::new(path)).map(|file| text(Ok(file))).map_err(|error| error.to_string())
}

#[test]
fn only_what_its_user_may_read_is_read_whoever_fpprof_is() {
    let scratch = Scratch::new("modes");
    let top = &scratch.0;
    fs::write(top.join("a/b/file"), "inside").unwrap();
    symlink("/a/b/file", top.join("link")).unwrap();
    symlink("b", top.join("a/folder_link")).unwrap();
    let root = TargetRoot::at(top).unwrap();
    let names = ["owner", "group", "other"];
    for (class, name) in names.iter().enumerate() {
        let bit = |bit: u32| bit << (6 - 3 * class);
        // What is changed, what it is without the bits of the class, and the bits that it needs.
        for (changed, open, needed, refusal) in [
            ("a/b/file", 0o777, bit(4), "may not read it"),
            ("a/b", 0o777, bit(1), "may not search a folder on the way to it"),
            ("a", 0o777, bit(1), "may not search a folder on the way to it"),
            ("", 0o777, bit(1), "may not search a folder on the way to it"),
        ] {
            for (mode, is_read) in [(open & !needed, false), (open, true)] {
                // The owner is who runs the test, who may change it back.
                set_mode(&top.join(changed), mode | if class == 0 { 0 } else { 0o700 });
                for path in ["/a/b/file", "/link", "/a/folder_link/file", "/a/b/../b/file"] {
                    let readers = owner_group_other();
                    let opened = opened(&root, &readers[class], path);
                    let is_denied = |error: &String| error.ends_with(refusal);
                    let expected = if is_read { opened.is_ok() } else { opened.as_ref().is_err_and(is_denied) };
                    // Without a capability, the one who runs the test is held to the modes, too.
                    let is_closed_to_us = opened.as_ref().is_err_and(|error| error.contains("Permission denied"));
                    assert!(expected || is_closed_to_us, "{name} {changed:?} {mode:o} {path}: {opened:?}");
                }
            }
            set_mode(&top.join(changed), 0o777);
        }
    }
}

#[test]
fn where_anybody_makes_links_those_of_others_are_not_followed() {
    let scratch = Scratch::new("sticky");
    let top = &scratch.0;
    fs::write(top.join("a/b/file"), "inside").unwrap();
    for folder in ["sticky", "open"] {
        fs::create_dir(top.join(folder)).unwrap();
        symlink("/a/b/file", top.join(folder).join("link")).unwrap();
    }
    set_mode(&top.join("sticky"), 0o1777);
    set_mode(&top.join("open"), 0o777);
    let root = TargetRoot::at(top).unwrap();
    let [owner, _, other] = owner_group_other();
    for (reader, path) in [(&owner, "/sticky/link"), (&other, "/open/link"), (&other, "/sticky/../a/b/file")] {
        assert_eq!(opened(&root, reader, path).unwrap(), "inside", "{path}");
    }
    // The folder's owner is the link's here, as that of /tmp is user 0 and a link's may be.
    assert_eq!(opened(&root, &other, "/sticky/link").unwrap(), "inside");
    let found = root.walk(&Reader::Own, Path::new("/sticky")).unwrap();
    let mut status = nix::sys::stat::lstat(&top.join("sticky/link")).unwrap();
    status.st_uid += 2;
    for reader in [&owner, &other, &Reader::Anybody, &Reader::Nobody] {
        let refused = reader.check_follow(&status, &found).unwrap_err();
        assert!(refused.to_string().contains("a link on the way to it is of another user"), "{refused}");
    }
}

/// A program of another user, where we may start one.
#[test]
fn a_process_is_looked_at_with_the_eyes_of_its_own_user() {
    let scratch = Scratch::new("eyes");
    let (closed, open) = (scratch.0.join("closed"), scratch.0.join("open"));
    for (file, mode) in [(&closed, 0), (&open, 0o444)] {
        fs::write(file, "inside").unwrap();
        set_mode(file, mode);
    }
    let mut command = std::process::Command::new("cat");
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let root = TargetRoot::of(Pid(child.id() as i32)).unwrap();
    let check = || {
        for opened in [root.open(&closed), root.open_in_ours(&closed)] {
            assert!(opened.is_err_and(|error| error.to_string().ends_with("may not read it")));
        }
        assert!(root.open(&open).is_ok() && root.open_in_ours(&open).is_ok());
        assert_ne!(root.identity(), TargetRoot::at(Path::new("/")).unwrap().identity(), "other eyes see other files");
    };
    check();
    drop(child.stdin.take());
    child.wait().unwrap();
    // Its number is nobody's now, and it is judged by what it was.
    check();
}

/// Its own entry denies a named user what the mode's bits allow; with a list, the bits of the group are the list's mask.
#[test]
fn an_access_list_that_says_otherwise_is_obeyed() {
    let scratch = Scratch::new("list");
    let file = scratch.0.join("file");
    fs::write(&file, "inside").unwrap();
    let [_, group, other] = owner_group_other();
    let root = TargetRoot::at(&scratch.0).unwrap();
    set_mode(&scratch.0, 0o755);
    set_mode(&file, 0o644);
    for reader in [&group, &other, &Reader::Anybody] {
        assert_eq!(opened(&root, reader, "/file").unwrap(), "inside");
    }
    let none = u32::MAX;
    let named = nix::unistd::geteuid().as_raw() + 1;
    let list = [(1, 6, none), (2, 0, named), (4, 0, none), (0x10, 4, none), (0x20, 4, none)];
    let set = |list: &[(u16, u16, u32)]| {
        rustix::fs::setxattr(&file, ATTRIBUTE, &attribute(list), rustix::fs::XattrFlags::empty()).unwrap();
    };
    set(&list);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644, "the mode does not tell");
    for reader in [&group, &other] {
        assert!(opened(&root, reader, "/file").is_err_and(|error| error.ends_with("may not read it")));
    }
    assert_eq!(opened(&root, &Reader::Anybody, "/file").unwrap(), "inside");
    // Somebody whom the list does not name.
    set(&[list[0], (2, 0, named + 1), list[2], list[3], list[4]]);
    assert_eq!(opened(&root, &other, "/file").unwrap(), "inside");
    assert!(opened(&root, &group, "/file").is_err(), "the owning group may not");
}

#[test]
fn what_modes_do_not_tell_is_not_read() {
    let root = TargetRoot::at(Path::new("/")).unwrap();
    let [owner, _, other] = owner_group_other();
    for reader in [&owner, &other, &Reader::Anybody] {
        for path in ["/proc/self/maps", "/proc/version"] {
            let refused = opened(&root, reader, path).unwrap_err();
            assert!(refused.ends_with("its mode does not tell who may read it"), "{path}: {refused}");
        }
    }
    assert!(opened(&root, &Reader::Own, "/proc/version").is_ok());
    let unknown = opened(&root, &Reader::Nobody, "/etc/passwd").unwrap_err();
    assert_eq!(unknown, "the program's user cannot be told");
}

#[test]
fn what_is_open_to_all_is_no_more_than_that() {
    let scratch = Scratch::new("all");
    let file = scratch.0.join("a/file");
    fs::write(&file, "inside").unwrap();
    let root = TargetRoot::at(&scratch.0).unwrap().open_to_all();
    for (folder, mode, is_read) in [(0o755, 0o644, true), (0o755, 0o640, false), (0o750, 0o644, false)] {
        set_mode(&scratch.0.join("a"), folder);
        set_mode(&file, mode);
        assert_eq!(root.open(Path::new("/a/file")).is_ok(), is_read, "{folder:o} {mode:o}");
    }
}

/// All users that a program has had must be allowed: it may have named the file as any of them.
#[test]
fn a_program_that_gives_up_rights_is_judged_by_those_it_has_left() {
    let scratch = Scratch::new("changes");
    fs::write(scratch.0.join("file"), "inside").unwrap();
    set_mode(&scratch.0.join("file"), 0o600);
    let root = TargetRoot::at(&scratch.0).unwrap();
    let before = Credentials { user: 0, groups: vec![0], reads_everything: true };
    let after = Credentials { user: nix::unistd::geteuid().as_raw() + 1, groups: vec![], reads_everything: false };
    let reader = |all: &[&Credentials]| Reader::Users(all.iter().map(|who| (*who).clone()).collect());
    assert!(opened(&root, &reader(&[&before]), "/file").is_ok());
    for all in [&[&before, &after][..], &[&after, &before]] {
        let refused = opened(&root, &reader(all), "/file").unwrap_err();
        assert!(refused.contains(&format!("({}) may not", after.user)), "{refused}");
    }
}

#[test]
fn the_owner_of_a_file_that_names_code_is_the_program_s_user_or_user_0() {
    let [owner, group, _] = owner_group_other();
    let user = nix::unistd::geteuid().as_raw();
    for (reader, uid, expected) in [
        (&owner, user, true),
        (&owner, 0, true),
        (&owner, user + 2, false),
        (&group, user + 1, true),
        (&group, user, user == 0),
        (&Reader::Own, user, true),
        (&Reader::Anybody, user, user == 0),
        (&Reader::Nobody, user, user == 0),
    ] {
        assert_eq!(reader.is_own(uid), expected, "{reader:?} {uid}");
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
    assert!(root.open(&std::env::current_exe().unwrap()).is_ok());
}
