//! The files that a process had mapped: which they are, and whether those that are found are the same.
//!
//! Does: hold what a core has of each file's first page against the file of that name below a folder; tell which memory is the file's.
//! Does not: take a file by its name or place alone. A build-id must be equal; where the core shows none, the whole first page.
//!
//! The kernel leaves mapped files out of a core, but for the page with their ELF headers (`coredump_filter`, core(5)), and gdb likewise.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::bytes::read_at;
use super::notes::MappedRange;
use super::segments::{CoreMemory, FileBacked};
use crate::target::elf::{BuildId, ElfFile, Segment};
use crate::target::eyes::is_of_the_kernel;
use crate::target::memory::PAGE;
use crate::target::root::TargetRoot;
use crate::types::Addr;

/// More files are not opened: each takes a descriptor.
const MAX_OPENED: usize = 4096;

/// Why the file of a mapping is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUsed {
    /// There is none of that name.
    #[error("{0}")]
    Missing(String),
    /// There is one, and it is not the one.
    #[error("it is another build: {}, and the core's is {}", id(.found.as_ref()), id(.expected.as_ref()))]
    Different {
        /// The build-id that the core shows.
        expected: Option<BuildId>,
        /// That of the file.
        found: Option<BuildId>,
    },
    /// The core does not hold its first page.
    #[error("the core does not hold the page that would show which build it is")]
    Unproven,
}

fn id(build_id: Option<&BuildId>) -> String {
    build_id.map_or_else(|| "one without a build-id".to_owned(), |id| format!("build-id {id}"))
}

/// A file that was mapped.
#[derive(Debug)]
pub struct CoreFile {
    /// Its path, as the process saw it.
    pub path: PathBuf,
    /// Whether it had been unlinked or replaced by then.
    pub deleted: bool,
    /// Its ELF headers as the core holds them; `None` of a file that is no ELF file, or whose first page is not there.
    head: Option<ElfFile>,
    /// What was added to the file's addresses.
    bias: u64,
    /// The file, or why it is not used.
    pub file: Result<Arc<File>, NotUsed>,
    ranges: Vec<MappedRange>,
}

/// The files that a process had mapped, each at one place.
#[derive(Debug, Default)]
pub struct CoreFiles {
    list: Vec<CoreFile>,
    /// Where each range begins and ends, and its file's place in the list: by address.
    ranges: Vec<(Addr, Addr, usize)>,
}

/// Where files are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Where<'a> {
    /// The folder below which they have the paths that the process saw.
    pub root: &'a TargetRoot,
    /// The program's own file, with its path in the core, where the user has named one.
    pub program: Option<(&'a Path, &'a Arc<File>)>,
}

impl CoreFiles {
    /// Finds the files of mapped ranges. `memory` is what the core itself holds.
    pub fn find(ranges: Vec<MappedRange>, memory: &CoreMemory, places: Where<'_>) -> CoreFiles {
        let mut list: Vec<CoreFile> = Vec::new();
        let mut latest: FxHashMap<PathBuf, usize> = FxHashMap::default();
        let mut ranges = ranges;
        ranges.sort_by_key(|range| range.start);
        let mut end = Addr::NULL;
        ranges.retain(|range| {
            let is_apart = range.start >= end;
            end = if is_apart { range.end } else { end };
            is_apart
        });
        for range in ranges {
            // A file that is loaded twice begins anew with its first page.
            let known = latest.get(&range.path).copied().filter(|_| range.offset != 0);
            match known.and_then(|index| list.get_mut(index)) {
                Some(file) => file.ranges.push(range),
                None => {
                    latest.insert(range.path.clone(), list.len());
                    list.push(CoreFile::new(range));
                }
            }
        }
        let mut opened = 0;
        for file in &mut list {
            file.look(memory, places, &mut opened);
        }
        let of_file = |(place, file): (usize, &CoreFile)| {
            file.ranges.iter().map(|range| (range.start, range.end, place)).collect::<Vec<_>>()
        };
        let mut ranges: Vec<_> = list.iter().enumerate().flat_map(of_file).collect();
        ranges.sort_unstable();
        CoreFiles { list, ranges }
    }

    /// The file that an address is mapped from.
    pub fn at(&self, addr: Addr) -> Option<&CoreFile> {
        let behind = self.ranges.partition_point(|(start, _, _)| *start <= addr);
        let (_, _, place) = self.ranges.get(behind.checked_sub(1)?).filter(|(_, end, _)| addr < *end)?;
        self.list.get(*place)
    }

    /// The files, by where they begin.
    pub fn list(&self) -> &[CoreFile] {
        &self.list
    }

    /// The memory that is these files'.
    pub fn backed(&self) -> Vec<FileBacked> {
        self.list.iter().flat_map(CoreFile::backed).collect()
    }

    /// The files that code was in, or may have been, and that are not used.
    pub fn not_used(&self) -> impl Iterator<Item = (&CoreFile, &NotUsed)> {
        self.list.iter().filter_map(|file| Some((file, file.file.as_ref().err()?)))
    }
}

impl CoreFile {
    fn new(range: MappedRange) -> CoreFile {
        CoreFile {
            path: range.path.clone(),
            deleted: range.deleted,
            head: None,
            bias: 0,
            file: Err(NotUsed::Unproven),
            ranges: vec![range],
        }
    }

    /// The mapped ranges, by address.
    pub fn ranges(&self) -> &[MappedRange] {
        &self.ranges
    }

    /// Whether the core shows that it is an ELF file.
    pub fn is_elf(&self) -> bool {
        self.head.is_some()
    }

    /// The build-id that the core shows.
    pub fn build_id(&self) -> Option<BuildId> {
        self.head.as_ref()?.build_id()
    }

    /// Whether the file's own headers say that its code is at an address.
    pub fn is_code(&self, addr: Addr) -> bool {
        let at = |segment: &&Segment| self.is_in(segment, addr);
        self.head.as_ref().is_some_and(|head| head.load_segments().filter(at).any(Segment::is_executable))
    }

    /// Whether an address is in a page of a segment.
    fn is_in(&self, segment: &Segment, addr: Addr) -> bool {
        let start = segment.svma.0 & !(PAGE - 1);
        let end = segment.svma.0.saturating_add(segment.memory_size).checked_next_multiple_of(PAGE);
        let svma = addr.0.wrapping_sub(self.bias);
        start <= svma && end.is_some_and(|end| svma < end)
    }

    fn look(&mut self, memory: &CoreMemory, places: Where<'_>, opened: &mut usize) {
        let Some(first) = self.ranges.first().filter(|range| range.offset == 0) else { return };
        let start = first.start;
        let mut page = vec![0; PAGE as usize];
        let held = memory.read_held(start, &mut page);
        page.truncate(held);
        let Ok(head) = ElfFile::from_bytes(page.clone()) else { return };
        let expected = head.build_id();
        // The first segment of the file is where the mapping begins, whatever its rights: old linkers put the code there.
        let first = head.load_segments().min_by_key(|segment| segment.offset);
        self.bias = first.map_or(start.0, |first| start.0.wrapping_sub(first.svma.0.wrapping_sub(first.offset.0)));
        self.head = Some(head);
        if *opened >= MAX_OPENED {
            self.file = Err(NotUsed::Missing("too many files are mapped to open all".to_owned()));
            return;
        }
        let file = match places.program {
            Some((path, file)) if path == self.path => Ok(Arc::clone(file)),
            _ => places.root.open(&places.root.as_target_names(self.path.clone())).map(Arc::new),
        };
        self.file = match file {
            Ok(file) => is_same(&file, &page, expected).map(|()| file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(NotUsed::Missing("it is not there".to_owned()))
            }
            Err(error) => Err(NotUsed::Missing(error.to_string())),
        };
        *opened += usize::from(self.file.is_ok());
    }

    /// The memory that the process cannot have changed: pages of segments that are not writable by the file's headers. Those that
    /// the loader writes to and protects then (RELRO) are in a writable one.
    fn backed(&self) -> Vec<FileBacked> {
        let (Some(head), Ok(file)) = (&self.head, &self.file) else { return Vec::new() };
        let len = file.metadata().map_or(0, |metadata| metadata.size());
        let mut backed = Vec::new();
        for segment in head.load_segments().filter(|segment| !segment.is_writable()) {
            let first = (segment.svma.0 & !(PAGE - 1)).wrapping_add(self.bias);
            let size = (segment.svma.0 % PAGE).saturating_add(segment.file_size).checked_next_multiple_of(PAGE);
            let Some(last) = size.and_then(|size| first.checked_add(size)) else { continue };
            for range in &self.ranges {
                let (start, end) = (range.start.0.max(first), range.end.0.min(last));
                // Where in the file the address is, by the mapping and by the segment.
                let mapped = range.offset.checked_add(start.saturating_sub(range.start.0));
                let stated = (segment.offset.0 & !(PAGE - 1)).checked_add(start.saturating_sub(first));
                if let Some(offset) = mapped.filter(|_| start < end && mapped == stated)
                    && offset < len
                {
                    backed.push(FileBacked { start: Addr(start), end: Addr(end), file: Arc::clone(file), offset });
                }
            }
        }
        backed
    }
}

/// Whether a file is the one whose first page, as far as it is held, is `page`.
fn is_same(file: &File, page: &[u8], expected: Option<BuildId>) -> Result<(), NotUsed> {
    let mut own = vec![0; page.len()];
    // Behind the end of a short file its page has zeros.
    if is_of_the_kernel(file).is_ok_and(|is| !is) {
        read_at(file, 0, &mut own);
    }
    let found = ElfFile::from_bytes(own.clone()).ok().and_then(|head| head.build_id());
    let is_same = match (&expected, &found) {
        (Some(expected), Some(found)) => expected == found,
        (None, None) => own == page,
        _ => false,
    };
    if is_same { Ok(()) } else { Err(NotUsed::Different { expected, found }) }
}
