//! Perf maps: `/tmp/perf-PID.map`, the names that a just-in-time compiler gives to code that is in no file.
//!
//! Does: parse the file within bounds, let later entries replace what they overlap, look addresses up, and recognise
//! the trampolines that CPython makes with `-X perf`. A file that others than the program's user can have written is not read.
//! Does not: follow a file that is still growing; it is read once, when names are wanted.
//!
//! Sources: Linux `tools/perf/Documentation/jit-interface.txt`; CPython `Python/perf_trampoline.c`. Whose a map must be: perf ignores one in
//! `/tmp` that is "not owned by current user or root" (`dso__load` in Linux `tools/perf/util/symbol.c`), where its own user is meant; fpprof
//! may be another one than the program's.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::profile::counted::Counted;
use crate::stack::frame::SampleFrame;
use crate::target::memory_budget::{self, Share};
use crate::target::root::TargetRoot;
use crate::types::Addr;

/// The most bytes of a perf map that are read.
const MAX_BYTES: u64 = 64 << 20;
/// The most entries that are kept.
const MAX_ENTRIES: usize = 1 << 20;
/// Whether there is room for more is asked after so many entries.
const ASK_AFTER: usize = 1 << 12;
/// The most bytes of a name that are kept.
const MAX_NAME: usize = 4 << 10;

/// One named range of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerfMapEntry<'a> {
    /// The first address of the range. If a later entry has replaced the beginning, the first that is left.
    pub start: Addr,
    /// The address behind the last.
    pub end: Addr,
    /// Its name, as it stands in the file.
    pub name: &'a str,
}

/// The contents of a perf map.
#[derive(Debug, Clone, Default)]
pub struct PerfMap {
    /// By start; the ranges do not overlap. A value is the end and the name's place in `names`.
    ranges: BTreeMap<u64, (u64, usize)>,
    names: Vec<String>,
    ignored_lines: usize,
    lack: Option<String>,
}

impl PerfMap {
    /// Reads the perf map of a process: `pid` as the process itself sees it, in its innermost namespace (the last
    /// number of `NSpid` in its status). One that is not there names nothing; one that is not read, or not all of it, says why.
    pub fn load(root: &TargetRoot, pid: i32) -> PerfMap {
        let path = PathBuf::from(format!("/tmp/perf-{pid}.map"));
        // What is made of it takes as much again, and what is named by it needs room, too.
        let most = MAX_BYTES.min(memory_budget::left(Share::All) / 4);
        let mut bytes = Vec::new();
        let read = root.open(&path).and_then(|file| {
            if !root.is_owner_trusted(&file) {
                return Err(io::Error::other("it is neither of the program's user nor of root"));
            }
            file.take(most + 1).read_to_end(&mut bytes)
        });
        let lack = match read {
            Ok(_) => None,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(error) => Some(format!("not read: {error}")),
        };
        let parse = || PerfMap::parse_within(&bytes, usize::try_from(most).unwrap_or(usize::MAX), MAX_ENTRIES);
        let mut map = if lack.is_none() { parse() } else { PerfMap::default() };
        map.lack = lack.or(map.lack).map(|lack| format!("{}: {lack}", path.display()));
        map
    }

    /// Parses lines of `START SIZE name`, both numbers hexadecimal. Other lines are counted and ignored.
    pub fn parse(bytes: &[u8]) -> PerfMap {
        PerfMap::parse_within(bytes, usize::try_from(MAX_BYTES).unwrap_or(usize::MAX), MAX_ENTRIES)
    }

    fn parse_within(bytes: &[u8], max_bytes: usize, max_entries: usize) -> PerfMap {
        let mut map = PerfMap::default();
        let mut most = max_entries;
        if bytes.len() > max_bytes {
            map.lack = Some(format!("cut: only its first {max_bytes} bytes were read"));
        }
        let limit = bytes.len().min(max_bytes);
        for line in bytes.get(..limit).unwrap_or_default().split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            if map.names.len().is_multiple_of(ASK_AFTER) && memory_budget::left(Share::Reading) == 0 {
                most = most.min(map.names.len());
            }
            match parse_line(line) {
                Some((start, end, name)) if map.names.len() < most => map.insert(start, end, name),
                Some(_) => {
                    map.lack.get_or_insert_with(|| format!("cut: only its first {most} entries were kept"));
                    map.ignored_lines += 1;
                }
                None => map.ignored_lines += 1,
            }
        }
        map
    }

    fn insert(&mut self, start: u64, end: u64, name: String) {
        // The part of an older range that is left in front, then all that begin inside the new one.
        if let Some((older, (older_end, older_name))) = self.ranges.range(..start).next_back().map(|(s, v)| (*s, *v))
            && older_end > start
        {
            self.ranges.insert(older, (start, older_name));
            self.keep_tail(end, older_end, older_name);
        }
        while let Some((older, (older_end, older_name))) = self.ranges.range(start..end).next().map(|(s, v)| (*s, *v)) {
            self.ranges.remove(&older);
            self.keep_tail(end, older_end, older_name);
        }
        self.ranges.insert(start, (end, self.names.len()));
        self.names.push(name);
    }

    fn keep_tail(&mut self, start: u64, end: u64, name: usize) {
        if end > start {
            self.ranges.insert(start, (end, name));
        }
    }

    /// The range that covers an address.
    pub fn find(&self, addr: Addr) -> Option<PerfMapEntry<'_>> {
        let (start, (end, name)) = self.ranges.range(..=addr.0).next_back()?;
        let name = self.names.get(*name)?;
        (addr.0 < *end).then_some(PerfMapEntry { start: Addr(*start), end: Addr(*end), name })
    }

    /// How many lines were not of the right form, or too many.
    pub fn ignored_lines(&self) -> usize {
        self.ignored_lines
    }

    /// Why it is not all of what the file says, if it is not.
    pub fn lack(&self) -> Option<&str> {
        self.lack.as_deref()
    }

    /// The same, if some of these frames are of code that is in no file: others have their names elsewhere.
    pub fn lack_for<'a>(&self, mut frames: impl Iterator<Item = &'a Counted>) -> Option<&str> {
        let is_unnamed = |frame: &Counted| matches!(frame, Counted::Frame(SampleFrame::Unnamed(_)));
        self.lack().filter(|_| frames.any(is_unnamed))
    }

    /// Whether the map names nothing.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// The function and the file in the name of a CPython trampoline, `py::function:file`.
///
/// A trampoline only calls the interpreter for one Python function, which stands in the stack anyway.
pub fn python_trampoline(name: &str) -> Option<(&str, &str)> {
    // A path can contain colons, the qualified name of a function cannot.
    name.strip_prefix("py::")?.split_once(':')
}

fn parse_line(line: &[u8]) -> Option<(u64, u64, String)> {
    let mut fields = line.splitn(3, |b| *b == b' ');
    let start = hexadecimal(fields.next()?)?;
    let size = hexadecimal(fields.next()?)?;
    let name = fields.next()?.trim_ascii();
    let end = start.checked_add(size).filter(|end| *end > start)?;
    let name = name.get(..name.len().min(MAX_NAME))?;
    (!name.is_empty()).then(|| (start, end, String::from_utf8_lossy(name).into_owned()))
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    let plain = digits.first()?.is_ascii_hexdigit();
    plain.then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(map: &PerfMap, addr: u64) -> Option<&str> {
        map.find(Addr(addr)).map(|e| e.name)
    }

    #[test]
    fn a_name_covers_its_range_and_no_more() {
        let map = PerfMap::parse(b"7f00 10 py::f:/tmp/a b.py\n0x8000 20 second\n");
        assert_eq!(name(&map, 0x7eff), None);
        assert_eq!(name(&map, 0x7f0f), Some("py::f:/tmp/a b.py"));
        assert_eq!(name(&map, 0x7f10), None);
        assert_eq!(name(&map, 0x801f), Some("second"));
        assert_eq!(python_trampoline(name(&map, 0x7f00).unwrap()), Some(("f", "/tmp/a b.py")));
        assert_eq!(python_trampoline("second"), None);
    }

    #[test]
    fn later_entries_replace_what_they_overlap() {
        let map = PerfMap::parse(b"100 100 old\n140 20 inner\n0F0 20 front\n1f0 20 back\n");
        let expected = [(0xf0, "front"), (0x10f, "front"), (0x110, "old"), (0x13f, "old"), (0x140, "inner")];
        let rest = [(0x15f, "inner"), (0x160, "old"), (0x1ef, "old"), (0x1f0, "back"), (0x20f, "back")];
        for (addr, wanted) in expected.into_iter().chain(rest) {
            assert_eq!(name(&map, addr), Some(wanted), "{addr:#x}");
        }
        let covered = PerfMap::parse(b"100 10 a\n120 10 b\n100 100 all\n");
        assert_eq!(name(&covered, 0x125), Some("all"));
        assert_eq!(covered.ranges.len(), 1);
    }

    #[test]
    fn lines_of_another_form_are_counted_and_ignored() {
        let map =
            PerfMap::parse(b"\xff\xfe\n100\n100 10\n100 0 empty\nffffffffffffffff 2 wraps\n+1 2 sign\n100 10 ok\n");
        assert_eq!(map.ignored_lines(), 6);
        assert_eq!(name(&map, 0x108), Some("ok"));
        assert!(PerfMap::parse(b"").is_empty());
    }

    #[test]
    fn a_map_that_is_cut_says_so() {
        let lines = b"0 1 a\n1 1 b\nno line\n2 1 c\n";
        let whole = PerfMap::parse_within(lines, lines.len(), 3);
        assert_eq!((whole.lack(), whole.ignored_lines()), (None, 1));
        let of_entries = PerfMap::parse_within(lines, lines.len(), 2);
        assert_eq!(of_entries.lack().unwrap(), "cut: only its first 2 entries were kept");
        assert_eq!((name(&of_entries, 1), name(&of_entries, 2), of_entries.ignored_lines()), (Some("b"), None, 2));
        let of_bytes = PerfMap::parse_within(lines, lines.len() - 2, 3);
        assert_eq!(of_bytes.lack().unwrap(), format!("cut: only its first {} bytes were read", lines.len() - 2));
        assert_eq!((name(&of_bytes, 1), name(&of_bytes, 2)), (Some("b"), None));
    }

    proptest::proptest! {
        /// Whatever the file holds, the last line that covers an address names it.
        #[test]
        fn the_last_covering_line_wins(entries in proptest::collection::vec((0_u64..64, 1_u64..32), 0..20)) {
            let text: String = entries.iter().enumerate().map(|(i, (s, n))| format!("{s:x} {n:x} {i}\n")).collect();
            let map = PerfMap::parse(text.as_bytes());
            for addr in 0..100 {
                let last = entries.iter().rposition(|(s, n)| (*s..s + n).contains(&addr));
                proptest::prop_assert_eq!(name(&map, addr).map(str::to_owned), last.map(|i| i.to_string()));
            }
        }
    }
}
