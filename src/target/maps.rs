//! The mappings of a process: `/proc/PID/maps`, parsed.
//!
//! Does: turn the text into sorted mappings and answer which one holds an address. Source: proc_pid_maps(5).
//! Does not: open the file, or what is mapped.

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::types::room::Room;
use crate::types::{Addr, FileOffset};

/// More lines than this are not taken: the kernel's own limit (`vm.max_map_count`) is 65,530 by default.
const MAX_MAPPINGS: usize = 1 << 20;

/// The file behind a mapping, as device and inode: what identifies it when its name does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device, as `(major, minor)`.
    pub device: (u32, u32),
    /// The inode.
    pub inode: u64,
}

/// What a mapping's name says of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Backing {
    /// A file, by the name that it had when it was mapped; `deleted` when that name is gone.
    File {
        /// Device and inode.
        id: FileId,
        /// The path, without the kernel's ` (deleted)`.
        path: PathBuf,
        /// Whether the file has been unlinked or replaced since.
        deleted: bool,
    },
    /// The kernel's shared object, `[vdso]`.
    Vdso,
    /// The main thread's stack, `[stack]`.
    Stack,
    /// No file: heap, thread stacks, code made at run time, other pseudo-mappings.
    Anonymous,
}

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The first address.
    pub start: Addr,
    /// The address behind the last.
    pub end: Addr,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether its bytes can be executed.
    pub executable: bool,
    /// Where in the file it begins.
    pub offset: FileOffset,
    /// What is behind it.
    pub backing: Backing,
}

impl Mapping {
    /// Whether `addr` is inside.
    pub fn contains(&self, addr: Addr) -> bool {
        self.start <= addr && addr < self.end
    }
}

/// The mappings of one process at one moment, sorted by address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mappings {
    list: Vec<Mapping>,
    is_cut: bool,
}

impl Mappings {
    /// Parses the contents of `/proc/PID/maps`. Lines that make no sense are left out.
    pub fn parse(text: &[u8]) -> Mappings {
        text.split(|&b| b == b'\n').filter_map(parse_line).collect()
    }

    /// Reads what [`parse`](Mappings::parse) is given, line by line, as far as there is room.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(mut text: impl BufRead, room: &mut dyn Room) -> io::Result<Mappings> {
        let (mut list, mut line) = (Vec::new(), Vec::new());
        while text.read_until(b'\n', &mut line)? > 0 {
            // A list that grows is there twice for a moment.
            if list.len() == MAX_MAPPINGS || !room.take((2 * size_of::<Mapping>() + line.len()) as u64) {
                return Ok(Mappings { is_cut: true, ..Mappings::of(list) });
            }
            list.extend(parse_line(line.strip_suffix(b"\n").unwrap_or(&line)));
            line.clear();
        }
        Ok(Mappings::of(list))
    }

    /// Whether there are more, for which there was no room.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn of(mut list: Vec<Mapping>) -> Mappings {
        list.sort_by_key(|mapping| mapping.start);
        Mappings { list, is_cut: false }
    }

    /// All mappings, by ascending address.
    pub fn iter(&self) -> std::slice::Iter<'_, Mapping> {
        self.list.iter()
    }

    /// The mapping that holds `addr`.
    pub fn find(&self, addr: Addr) -> Option<&Mapping> {
        let index = self.list.partition_point(|m| m.end <= addr);
        self.list.get(index).filter(|m| m.contains(addr))
    }

    /// The mappings that end at `addr` or before it, by ascending address.
    pub fn before(&self, addr: Addr) -> std::slice::Iter<'_, Mapping> {
        let index = self.list.partition_point(|m| m.end <= addr);
        self.list.get(..index).unwrap_or_default().iter()
    }

    /// The mappings that begin at `addr` or behind it, by ascending address.
    pub fn behind(&self, addr: Addr) -> std::slice::Iter<'_, Mapping> {
        let index = self.list.partition_point(|m| m.start < addr);
        self.list.get(index..).unwrap_or_default().iter()
    }

    /// The mapping of the stack that `sp` points into. The main thread's may have grown since the mappings were read: the
    /// kernel extends it downwards when it is used (proc(5), `[stack]`).
    pub fn find_stack(&self, sp: Addr) -> Option<&Mapping> {
        let index = self.list.partition_point(|m| m.end <= sp);
        self.list.get(index).filter(|m| m.contains(sp) || m.backing == Backing::Stack)
    }

    /// Whether there is none: what a process without a user address space (a kernel thread, a zombie) shows.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl FromIterator<Mapping> for Mappings {
    fn from_iter<I: IntoIterator<Item = Mapping>>(mappings: I) -> Self {
        Mappings::of(mappings.into_iter().take(MAX_MAPPINGS).collect())
    }
}

/// `start-end perms offset major:minor inode    path`
fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |&b| b == b' ');
    let (start, end) = split_once(fields.next()?, b'-')?;
    let perms = fields.next()?;
    let offset = hex(fields.next()?)?;
    let (major, minor) = split_once(fields.next()?, b':')?;
    let inode = decimal(fields.next()?)?;
    let name = fields.next().unwrap_or_default().trim_ascii_start();
    let (start, end) = (Addr(hex(start)?), Addr(hex(end)?));
    if start >= end {
        return None;
    }
    let id = FileId { device: (u32::try_from(hex(major)?).ok()?, u32::try_from(hex(minor)?).ok()?), inode };
    Some(Mapping {
        start,
        end,
        readable: perms.first() == Some(&b'r'),
        executable: perms.get(2) == Some(&b'x'),
        offset: FileOffset(offset),
        backing: backing(name, id),
    })
}

fn backing(name: &[u8], id: FileId) -> Backing {
    match name {
        b"[vdso]" => Backing::Vdso,
        b"[stack]" => Backing::Stack,
        _ if name.first() == Some(&b'/') && id.inode != 0 => {
            let unlinked = name.strip_suffix(b" (deleted)");
            let path = OsString::from_vec(unescape(unlinked.unwrap_or(name)));
            Backing::File { id, path: PathBuf::from(path), deleted: unlinked.is_some() }
        }
        _ => Backing::Anonymous,
    }
}

/// Undoes the kernel's only escape in this file: a newline in a name is written `\012`.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(b"\\012") {
            out.push(b'\n');
            rest = tail;
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|&b| b == at)?;
    Some((bytes.get(..index)?, bytes.get(index + 1..)?))
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"\
564a9b5b5000-564a9b5b7000 r--p 00000000 fe:00 247774                     /usr/bin/with space
7f00a0000000-7f00a0021000 rw-p 00000000 00:00 0
7f00b0000000-7f00b0002000 r-xp 00003000 08:01 77                         /usr/lib/gone.so (deleted)
7ffd10000000-7ffd10021000 rw-p 00000000 00:00 0                          [stack]
7ffd100f6000-7ffd100f8000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn every_kind_of_line_is_understood() {
        let maps = Mappings::parse(MAPS);
        let kinds: Vec<_> = maps.iter().map(|m| m.backing.clone()).collect();
        assert_eq!(kinds.len(), 5);
        assert_eq!(
            kinds[0],
            Backing::File {
                id: FileId { device: (0xfe, 0), inode: 247774 },
                path: "/usr/bin/with space".into(),
                deleted: false
            }
        );
        assert_eq!(kinds[1], Backing::Anonymous);
        assert!(
            matches!(&kinds[2], Backing::File { path, deleted: true, .. } if path.as_os_str() == "/usr/lib/gone.so")
        );
        assert_eq!(&kinds[3..], [Backing::Stack, Backing::Vdso]);
    }

    #[test]
    fn an_address_is_found_only_inside_a_mapping() {
        let maps = Mappings::parse(MAPS);
        let code = maps.find(Addr(0x7f00_b000_1fff)).expect("the last byte is inside");
        assert!(code.executable && code.offset == FileOffset(0x3000));
        assert_eq!(maps.find(Addr(0x7f00_b000_2000)), None);
        assert_eq!(maps.find(Addr(0)), None);
        assert_eq!(maps.find(Addr(u64::MAX)), None);
        let (all, at) = (maps.iter().count(), code.start);
        assert_eq!(maps.before(at).count() + maps.behind(at).count(), all);
        assert_eq!(maps.before(code.end).next_back(), Some(code));
        assert_eq!((maps.before(Addr(0)).count(), maps.behind(Addr(u64::MAX)).count()), (0, 0));
    }

    #[test]
    fn nonsense_is_left_out() {
        for line in ["", "-", "zz-10 r-xp 0 0:0 0", "10-10 r-xp 0 0:0 0", "20-10 r-xp 0 0:0 0 /x", "1-2 r-xp 0 0:0"] {
            assert!(Mappings::parse(line.as_bytes()).is_empty(), "{line:?}");
        }
    }

    #[test]
    fn lines_are_read_as_far_as_there_is_room() {
        struct Lines(u64);
        impl Room for Lines {
            fn take(&mut self, _bytes: u64) -> bool {
                self.0 = self.0.saturating_sub(1);
                self.0 > 0
            }
        }
        let read = |lines| Mappings::read(MAPS, &mut Lines(lines)).unwrap();
        assert_eq!(read(u64::MAX), Mappings::parse(MAPS));
        let some = read(3);
        assert_eq!((some.iter().count(), some.is_cut(), read(u64::MAX).is_cut()), (2, true, false));
        assert!(some.iter().eq(Mappings::parse(MAPS).iter().take(2)));
    }

    #[test]
    fn a_newline_in_a_name_is_restored() {
        let maps = Mappings::parse(b"1000-2000 r-xp 00000000 08:01 7 /a\\012b");
        assert!(
            matches!(&maps.find(Addr(0x1000)).unwrap().backing, Backing::File { path, .. } if path.as_os_str() == "/a\nb")
        );
    }
}
