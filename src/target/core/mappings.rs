//! The mappings of a process, from its core file: what `/proc/PID/maps` said while it lived.
//!
//! Does: put the ranges of memory and the mapped files together. Does not: read memory or open files.

use std::path::PathBuf;

use rustc_hash::FxHashMap;

use super::files::{CoreFile, CoreFiles};
use super::header::Load;
use super::notes::MappedRange;
use crate::target::maps::{Backing, FileId, Mapping, Mappings};
use crate::types::{Addr, FileOffset};

/// What the auxiliary vector tells of places.
#[derive(Debug, Clone, Copy, Default)]
pub struct Places {
    /// The vDSO's first address (`AT_SYSINFO_EHDR`).
    pub vdso: Option<Addr>,
    /// An address on the first thread's stack, above all of its frames (`AT_RANDOM`).
    pub stack: Option<Addr>,
}

/// The mappings. gdb writes no range for what it leaves out: what is mapped of a file there has the rights that the file's headers
/// give it.
pub fn mappings(loads: &[Load], files: &CoreFiles, places: Places) -> Mappings {
    let mut ids = FxHashMap::default();
    let mut ranges: Vec<(&CoreFile, &MappedRange, FileId)> = Vec::new();
    for file in files.list() {
        let next = ids.len() as u64 + 1;
        let inode = *ids.entry(file.path.clone()).or_insert(next);
        let id = FileId { device: (0, 0), inode };
        ranges.extend(file.ranges().iter().map(|range| (file, range, id)));
    }
    ranges.sort_by_key(|(_, range, _)| range.start);
    let mut list = Vec::with_capacity(loads.len() + ranges.len());
    for load in loads {
        let mut at = load.start;
        while at < load.end {
            let next = ranges.partition_point(|(_, range, _)| range.end <= at);
            let (end, backing, offset) = match ranges.get(next) {
                Some((file, range, id)) if range.start <= at => {
                    let offset = range.offset.wrapping_add(at.0 - range.start.0);
                    (range.end.min(load.end), of_file(file.path.clone(), *id, file.deleted), offset)
                }
                Some((_, range, _)) => (range.start.min(load.end), without_file(load, places), 0),
                None => (load.end, without_file(load, places), 0),
            };
            list.push(Mapping {
                start: at,
                end,
                readable: load.readable,
                executable: load.executable,
                offset: FileOffset(offset),
                backing,
            });
            at = end;
        }
    }
    for (file, range, id) in ranges {
        let mut at = range.start;
        while at < range.end {
            let next = loads.partition_point(|load| load.end <= at);
            let end = match loads.get(next) {
                Some(load) if load.start <= at => {
                    at = load.end;
                    continue;
                }
                Some(load) => load.start.min(range.end),
                None => range.end,
            };
            list.push(Mapping {
                start: at,
                end,
                readable: file.is_elf(),
                executable: file.is_code(at),
                offset: FileOffset(range.offset.wrapping_add(at.0 - range.start.0)),
                backing: of_file(file.path.clone(), id, file.deleted),
            });
            at = end;
        }
    }
    list.into_iter().collect()
}

fn of_file(path: PathBuf, id: FileId, deleted: bool) -> Backing {
    Backing::File { id, path, deleted }
}

fn without_file(load: &Load, places: Places) -> Backing {
    let holds = |addr: Addr| load.start <= addr && addr < load.end;
    match places {
        Places { vdso: Some(vdso), .. } if holds(vdso) => Backing::Vdso,
        Places { stack: Some(stack), .. } if holds(stack) => Backing::Stack,
        _ => Backing::Anonymous,
    }
}
