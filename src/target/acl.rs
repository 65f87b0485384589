//! POSIX access control lists.
//!
//! Does: parse the kernel's extended attribute `system.posix_acl_access`, and decide by it as the kernel does.
//! Does not: read attributes.
//!
//! A file with a list has its *mask* where its mode has the group's bits: they bound what the owning group and all named users
//! and groups may, and grant nothing by themselves (acl(5), "CORRESPONDENCE BETWEEN ACL ENTRIES AND FILE PERMISSION BITS").
//! Sources: include/uapi/linux/posix_acl_xattr.h, `posix_acl_permission` in fs/posix_acl.c.

use super::credentials::Credentials;

/// The attribute's name.
pub const ATTRIBUTE: &str = "system.posix_acl_access";
/// `POSIX_ACL_XATTR_VERSION`.
const VERSION: [u8; 4] = 2_u32.to_le_bytes();

const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// A list, without its entry of the owner: that is in the mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessList(Vec<Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    permissions: u32,
    id: u32,
}

impl AccessList {
    /// Parses the attribute; `None` when it is none that is understood.
    pub fn parse(attribute: &[u8]) -> Option<AccessList> {
        let entries = attribute.strip_prefix(&VERSION)?.chunks(8).map(|entry| {
            let entry: [u8; 8] = entry.try_into().ok()?;
            let [t0, t1, p0, p1, id @ ..] = entry;
            let (tag, permissions) = (u16::from_le_bytes([t0, t1]), u32::from(u16::from_le_bytes([p0, p1])));
            Some(Entry { tag, permissions, id: u32::from_le_bytes(id) })
        });
        entries.collect::<Option<Vec<Entry>>>().map(AccessList)
    }

    /// Whether somebody who is not the file's owner may do what these bits (read 4, search 1) stand for; `group` is the file's.
    pub fn allows(&self, who: &Credentials, group: u32, wanted: u32) -> bool {
        let permits = |permissions: u32| permissions & wanted == wanted;
        let mask = self.0.iter().find(|entry| entry.tag == MASK).is_none_or(|mask| permits(mask.permissions));
        if let Some(named) = self.0.iter().find(|entry| entry.tag == USER && entry.id == who.user) {
            return permits(named.permissions) && mask;
        }
        let is_of = |entry: &&Entry| match entry.tag {
            OWNING_GROUP => who.groups.contains(&group),
            GROUP => who.groups.contains(&entry.id),
            _ => false,
        };
        let mut groups = self.0.iter().filter(is_of).peekable();
        if groups.peek().is_some() {
            return groups.any(|entry| permits(entry.permissions)) && mask;
        }
        self.0.iter().find(|entry| entry.tag == OTHER).is_some_and(|other| permits(other.permissions))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The attribute of a list: `(tag, permissions, id)`.
    pub fn attribute(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let entries = entries.iter().flat_map(|(tag, permissions, id)| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
        });
        VERSION.into_iter().chain(entries).collect()
    }

    #[test]
    fn a_list_decides_as_the_kernel_does() {
        let list = |group: u16, mask: u16, other: u16| {
            let named = [(0x01, 7, 0), (USER, 4, 70), (USER, 0, 71), (OWNING_GROUP, group, 0), (GROUP, 4, 90)];
            let rest = [(GROUP, 0, 91), (MASK, mask, 0), (OTHER, other, 0)];
            AccessList::parse(&attribute(&[&named[..], &rest].concat())).unwrap()
        };
        let who = |user, groups: &[u32]| Credentials { user, groups: groups.to_vec(), reads_everything: false };
        let cases = [
            (who(70, &[1]), list(0, 7, 0), true, "a named user"),
            (who(70, &[1]), list(7, 3, 7), false, "a named user whom the mask bounds"),
            (who(71, &[90, 8]), list(7, 7, 7), false, "a named user who is denied, whatever his groups may"),
            (who(1, &[8]), list(4, 7, 0), true, "the owning group"),
            (who(1, &[8]), list(0, 7, 7), false, "the owning group that is denied, whatever the mode's bits say"),
            (who(1, &[1, 90]), list(0, 7, 0), true, "a named group"),
            (who(1, &[91]), list(7, 7, 7), false, "a named group that is denied"),
            (who(1, &[91, 90]), list(0, 7, 0), true, "one of several groups"),
            (who(1, &[90]), list(0, 1, 7), false, "a named group that the mask bounds"),
            (who(1, &[1]), list(0, 0, 4), true, "anybody else, whom no mask bounds"),
            (who(1, &[1]), list(7, 7, 1), false, "anybody else who may not"),
        ];
        for (who, list, expected, what) in cases {
            assert_eq!(list.allows(&who, 8, 4), expected, "{what}");
        }
        assert!(!list(0, 7, 4).allows(&who(1, &[1]), 8, 5), "all of what is wanted is asked for");
    }

    #[test]
    fn what_is_not_understood_is_no_list() {
        for garbage in [&b""[..], &[1, 0, 0, 0], &[2, 0, 0], &[2, 0, 0, 0, 1, 0, 7]] {
            assert_eq!(AccessList::parse(garbage), None, "{garbage:?}");
        }
        let empty = AccessList::parse(&VERSION).unwrap();
        assert!(!empty.allows(&Credentials { user: 0, groups: vec![0], reads_everything: false }, 0, 4));
    }
}
