//! What ties an ELF file to its other halves: build-id, `.gnu_debuglink`, `.gnu_debugaltlink`, `.gnu_debugdata`.
//!
//! Does: read and check what the file states. Does not: look for the files that it names.

use std::fmt;

use object::elf;

use super::source::{string_at, u32_at};
use super::{ElfError, ElfFile, FILE_HEADER_SIZE};
use crate::types::{FileOffset, Svma};

/// Build-ids are 16 (MD5) or 20 bytes (SHA-1) in practice; the format sets no limit.
const MAX_BUILD_ID: usize = 64;
/// Notes are small; a larger segment of them is not worth a search.
const MAX_NOTES: u64 = 1 << 20;
/// The most bytes that identify a file: build-ids have 36 with their note's header, and another note or two beside them.
const MAX_IDENTIFYING: u64 = 256;
/// A link is a file name (or a path) and a few bytes.
const MAX_LINK: u64 = 1 << 14;

/// The identity that the linker gave to a build (`NT_GNU_BUILD_ID`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId(Vec<u8>);

impl BuildId {
    /// Wraps the bytes of a note; `None` when there are none or implausibly many.
    pub fn new(bytes: &[u8]) -> Option<BuildId> {
        (1..=MAX_BUILD_ID).contains(&bytes.len()).then(|| BuildId(bytes.to_vec()))
    }

    /// The path of the separate debug file below a debug directory, `.build-id/ab/cdef….debug` (GDB manual,
    /// "Debugging Information in Separate Files").
    pub fn debug_path(&self) -> String {
        let hex = self.to_string();
        let (directory, name) = hex.split_at_checked(2).unwrap_or((&hex, ""));
        format!(".build-id/{directory}/{name}.debug")
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `.gnu_debuglink`: the name of the separate debug file and its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugLink {
    /// A plain file name, without a directory.
    pub name: String,
    /// The CRC-32 of the whole debug file.
    pub crc: u32,
}

/// `.gnu_debugaltlink`: the file with the DWARF that several debug files share (made by `dwz -m`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugAltLink {
    /// A path; if relative, then to the directory of the file that states it.
    pub path: String,
    /// The build-id of that file.
    pub build_id: BuildId,
}

impl ElfFile {
    /// The file's build-id, from its note sections or its note segments.
    pub fn build_id(&self) -> Option<BuildId> {
        // Sections first: in a separate debug file the program headers describe the original file.
        let sections = self.sections.iter().filter(|s| s.kind == elf::SHT_NOTE.0).map(|s| (s.offset, s.size));
        let segments = self.segments_of(elf::PT_NOTE).map(|s| (s.offset.0, s.file_size));
        sections.chain(segments).find_map(|(offset, size)| {
            let notes = self.source.read(offset, size.min(MAX_NOTES), "notes").ok()?;
            build_id_note(&notes)
        })
    }

    /// Bytes of the loaded image, at most 256 of them, that no other file has there: the notes with the build-id; or the file header, which
    /// has the place of the section headers, hence the file's size, and the entry point.
    pub fn identifying_bytes(&self) -> Option<(Svma, Vec<u8>)> {
        let loaded = |svma, len| self.loaded_bytes(svma, len, "notes").ok();
        let notes = self.segments_of(elf::PT_NOTE).find_map(|s| {
            let notes = loaded(s.svma, s.file_size.min(MAX_IDENTIFYING))?;
            build_id_note(&notes).is_some().then_some((s.svma, notes))
        });
        notes.or_else(|| {
            let first = self.load_segments().find(|s| s.offset == FileOffset(0))?;
            Some((first.svma, loaded(first.svma, FILE_HEADER_SIZE as u64)?))
        })
    }

    /// The file's `.gnu_debuglink`, if it has one that names a plain file.
    pub fn debug_link(&self) -> Option<DebugLink> {
        let bytes = self.small_section(".gnu_debuglink")?;
        let name = std::str::from_utf8(string_at(&bytes, 0)?).ok()?;
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return None;
        }
        // The checksum is behind the NUL, aligned to 4 bytes.
        let crc = u32_at(&bytes, name.len().checked_add(4)? & !3)?;
        Some(DebugLink { name: name.to_owned(), crc })
    }

    /// The file's `.gnu_debugaltlink`, if it has one.
    pub fn debug_alt_link(&self) -> Option<DebugAltLink> {
        let bytes = self.small_section(".gnu_debugaltlink")?;
        let path = std::str::from_utf8(string_at(&bytes, 0)?).ok()?;
        let build_id = BuildId::new(bytes.get(path.len().checked_add(1)?..)?)?;
        (!path.is_empty()).then(|| DebugAltLink { path: path.to_owned(), build_id })
    }

    /// Whether the file carries a compressed symbol table of its own in `.gnu_debugdata` ("MiniDebugInfo").
    pub fn has_debug_data(&self) -> bool {
        self.section(".gnu_debugdata").is_some_and(super::Section::has_bytes)
    }

    fn small_section(&self, name: &'static str) -> Option<Vec<u8>> {
        let section = self.section(name).filter(|s| s.size <= MAX_LINK)?;
        let bytes: Result<Vec<u8>, ElfError> = self.bytes_of(section, name);
        bytes.ok()
    }
}

/// Walks `Elf64_Nhdr` {name size, description size, type}; both parts are padded to 4 bytes.
fn build_id_note(notes: &[u8]) -> Option<BuildId> {
    let padded = |size: u32| (size as usize).checked_add(3).map(|n| n & !3);
    let mut rest = notes;
    loop {
        let (name_size, size, kind) = (u32_at(rest, 0)?, u32_at(rest, 4)?, u32_at(rest, 8)?);
        let body = rest.get(12..)?;
        let name = body.get(..name_size as usize)?;
        let description = body.get(padded(name_size)?..)?;
        if kind == elf::NT_GNU_BUILD_ID.0 && name == b"GNU\0" {
            return BuildId::new(description.get(..size as usize)?);
        }
        rest = description.get(padded(size)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_is_found_behind_other_notes() {
        let mut notes = Vec::new();
        notes.extend_from_slice(&[4, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0]);
        notes.extend_from_slice(b"ABC\0\x01\x02\x03\x04\x05\0\0\0");
        notes.extend_from_slice(&[4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        notes.extend_from_slice(b"GNU\0\xab\xcd\xef\0");
        let id = build_id_note(&notes).unwrap();
        assert_eq!(id.to_string(), "abcdef");
        assert_eq!(id.debug_path(), ".build-id/ab/cdef.debug");
    }

    #[test]
    fn notes_that_state_more_than_there_is_hold_no_build_id() {
        assert_eq!(build_id_note(b"\x04\0\0\0\xff\xff\xff\xff\x03\0\0\0GNU\0\xab"), None);
        assert_eq!(build_id_note(b"\xff\xff\xff\xff\x04\0\0\0\x03\0\0\0GNU\0\xab"), None);
        assert_eq!(build_id_note(b""), None);
    }
}
