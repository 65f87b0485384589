//! Whether somebody may read a file or search a folder: the proof, of what is known of both.
//!
//! Does: decide by owner, group, mode, access list and capability, as the kernel does, and deny what these do not prove.
//! Does not: ask the system.
//!
//! Sources: `acl_permission_check` and `generic_permission` in the kernel's fs/namei.c; path_resolution(7), "Permissions".

use super::acl::AccessList;
use super::credentials::{Credentials, SharedIds};

/// What is asked for, as the bit of the mode for everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To read a file.
    Read = 4,
    /// To find what is in a folder.
    Search = 1,
}

/// What a file or a folder says of who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarded {
    /// Its owner.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// Its mode.
    pub mode: u32,
}

/// The mode's bit of a folder in which only owners rename and remove (`S_ISVTX`), and that of one to which all may write (`S_IWOTH`).
const STICKY_AND_OPEN: u32 = 0o1002;

/// Whether somebody may. `list` gives the access list, `Ok(None)` where there is none; an error denies.
pub fn allows<E>(
    who: &Credentials,
    (what, shared): (Guarded, SharedIds),
    list: impl FnOnce() -> Result<Option<AccessList>, E>,
    wanted: Wanted,
) -> bool {
    let bits = |class: u32| what.mode >> class & wanted as u32 != 0;
    let (owner, group, other) = (bits(6), bits(3), bits(0));
    let is_known = shared.user != Some(what.user) && shared.group != Some(what.group);
    if who.reads_everything && is_known {
        return true;
    }
    let (is_owner, is_of_group) = (who.user == what.user, who.groups.contains(&what.group));
    // Who has an id that stands for several may be any of them: the owner, another of the group, or neither.
    let is_anybody = shared.user == Some(who.user) || shared.group.is_some_and(|id| who.groups.contains(&id));
    if is_anybody && (!is_known || !is_owner) {
        return owner && group && other && matches!(list(), Ok(None));
    }
    if is_owner {
        return owner;
    }
    match list() {
        Ok(Some(list)) => list.allows(who, what.group, wanted as u32),
        Ok(None) if is_of_group => group,
        Ok(None) => other,
        Err(_) => false,
    }
}

/// Whether everybody may.
pub fn is_open_to_all(what: Guarded, wanted: Wanted) -> bool {
    what.mode & wanted as u32 != 0
}

/// Whether `fs.protected_symlinks` lets somebody follow a link of this owner in a folder, whatever it is set to: in one where anybody may make
/// links, they lead whoever follows where somebody else wants (`may_follow_link` in fs/namei.c; proc_sys_fs(5)).
pub fn may_follow(who: &Credentials, owner: u32, folder: Guarded) -> bool {
    folder.mode & STICKY_AND_OPEN != STICKY_AND_OPEN || owner == who.user || owner == folder.user
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::acl::tests::attribute;

    const ALL_KNOWN: SharedIds = SharedIds { user: None, group: None };
    const FOLDER: u32 = 0o040_000;
    const FILE: u32 = 0o100_000;

    fn who(user: u32, groups: &[u32]) -> Credentials {
        Credentials { user, groups: groups.to_vec(), reads_everything: false }
    }

    fn without_list() -> Result<Option<AccessList>, ()> {
        Ok(None)
    }

    /// The class that somebody is in decides alone, also where another one may more.
    #[test]
    fn the_first_class_that_somebody_is_in_decides() {
        for (kind, wanted, bit) in [(FILE, Wanted::Read, 4), (FOLDER, Wanted::Search, 1)] {
            let classes = [(who(70, &[8]), 6, "owner"), (who(1, &[5, 8]), 3, "group"), (who(1, &[5]), 0, "other")];
            for (somebody, class, name) in classes {
                for (mode, expected) in [(bit << class, true), (0o777 & !(bit << class), false), (0, false)] {
                    let what = Guarded { user: 70, group: 8, mode: kind | mode };
                    let decided = allows(&somebody, (what, ALL_KNOWN), without_list, wanted);
                    assert_eq!(decided, expected, "{name} {mode:o} {wanted:?}");
                }
            }
        }
    }

    /// Without the capability, user 0 is one as any other.
    #[test]
    fn a_capability_reads_what_our_namespace_knows() {
        let what = Guarded { user: 70, group: 8, mode: FILE };
        let capable = Credentials { reads_everything: true, ..who(0, &[0]) };
        let none = |shared, who: &Credentials| allows(who, (what, shared), without_list, Wanted::Read);
        assert!(none(ALL_KNOWN, &capable));
        assert!(!none(ALL_KNOWN, &who(0, &[0])));
        assert!(!none(SharedIds { user: Some(70), group: None }, &capable));
        assert!(!none(SharedIds { user: None, group: Some(8) }, &capable));
        assert!(none(SharedIds { user: Some(71), group: Some(9) }, &capable));
    }

    /// With a list, the mode's bits of the group are its mask and prove nothing.
    #[test]
    fn a_list_overrules_the_bits_of_the_group() {
        let what = Guarded { user: 70, group: 8, mode: FILE | 0o074 };
        let list = || Ok::<_, ()>(AccessList::parse(&attribute(&[(4, 0, 0), (2, 0, 72), (0x10, 7, 0), (0x20, 4, 0)])));
        let with = |who: Credentials| allows(&who, (what, ALL_KNOWN), list, Wanted::Read);
        let without = |who: Credentials| allows(&who, (what, ALL_KNOWN), without_list, Wanted::Read);
        assert_eq!((with(who(1, &[8])), without(who(1, &[8]))), (false, true), "the owning group");
        assert_eq!((with(who(72, &[1])), without(who(72, &[1]))), (false, true), "a named user");
        assert_eq!((with(who(1, &[1])), without(who(1, &[1]))), (true, true), "anybody else");
        assert_eq!((with(who(70, &[1])), without(who(70, &[1]))), (false, false), "the owner");
        assert!(!allows(&who(1, &[1]), (what, ALL_KNOWN), || Err("it cannot be read"), Wanted::Read));
    }

    #[test]
    fn an_id_that_stands_for_several_proves_only_what_all_may() {
        let shared = SharedIds { user: Some(65_534), group: Some(65_534) };
        let decided = |who: &Credentials, user, group, mode| {
            allows(who, (Guarded { user, group, mode: FILE | mode }, shared), without_list, Wanted::Read)
        };
        let nobody = who(65_534, &[65_534]);
        assert!(!decided(&nobody, 65_534, 65_534, 0o400), "its own file may be another's");
        assert!(!decided(&nobody, 65_534, 65_534, 0o440) && !decided(&nobody, 0, 0, 0o404));
        assert!(decided(&nobody, 65_534, 65_534, 0o444) && decided(&nobody, 0, 0, 0o444));
        // Who is known is none of those whom the namespace does not know.
        let known = who(5, &[5]);
        assert!(decided(&known, 65_534, 65_534, 0o004) && !decided(&known, 65_534, 65_534, 0o440));
        assert!(decided(&known, 5, 5, 0o400));
    }

    #[test]
    fn what_is_open_to_all_is_open_by_the_last_bits() {
        for (mode, wanted, expected) in [
            (0o004, Wanted::Read, true),
            (0o773, Wanted::Read, false),
            (0o001, Wanted::Search, true),
            (0o776, Wanted::Search, false),
        ] {
            assert_eq!(is_open_to_all(Guarded { user: 0, group: 0, mode }, wanted), expected, "{mode:o} {wanted:?}");
        }
    }

    #[test]
    fn a_link_where_anybody_makes_links_is_followed_for_its_owner_or_the_folder_s() {
        for (mode, owner, expected) in
            [(0o1777, 5, true), (0o1777, 0, true), (0o1777, 6, false), (0o0777, 6, true), (0o1775, 6, true)]
        {
            let folder = Guarded { user: 0, group: 0, mode: FOLDER | mode };
            assert_eq!(may_follow(&who(5, &[5]), owner, folder), expected, "{mode:o} {owner}");
        }
    }
}
