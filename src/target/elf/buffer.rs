//! A section's bytes in memory of their own, all of them or only those that are asked for.
//!
//! Does: hold a section at its full length in anonymous memory, of which only what is filled in takes up room, and
//! which goes back to the system at once when it is dropped (an allocator keeps tens of megabytes for later).
//! Does not: map the file: its owner can truncate it, and reading behind the end of a mapped file is a SIGBUS.

use std::io::Read;
use std::ops::Range;

use flate2::read::ZlibDecoder;
use memmap2::MmapMut;
use object::elf;

use super::source::{u32_at, u64_at};
use super::{COMPRESSION_HEADER_SIZE, ElfError, ElfFile, MAX_SECTION_BYTES};

/// A section's bytes. What has not been filled in is zero.
#[derive(Debug, Default)]
pub struct SectionBuffer {
    /// `None` for no bytes at all, which cannot be mapped.
    map: Option<MmapMut>,
    /// Where the section begins in the file; `None` when everything has been filled in.
    offset: Option<u64>,
}

impl SectionBuffer {
    fn new(len: u64, what: &'static str) -> Result<SectionBuffer, ElfError> {
        let too_large = ElfError::TooLarge { what, size: len };
        if len > MAX_SECTION_BYTES {
            return Err(too_large);
        }
        let len = usize::try_from(len).map_err(|_| too_large.clone())?;
        let map = if len == 0 { None } else { Some(MmapMut::map_anon(len).map_err(|_| too_large)?) };
        Ok(SectionBuffer { map, offset: None })
    }

    /// The section at its full length.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Fills in a part of the section, as far as the section goes. `file` is the one that the buffer is from.
    ///
    /// # Errors
    /// When the file cannot be read, or has become shorter.
    pub fn fill(&mut self, file: &ElfFile, range: Range<usize>) -> Result<(), ElfError> {
        let (Some(offset), Some(map)) = (self.offset, &mut self.map) else { return Ok(()) };
        let range = range.start..range.end.min(map.len());
        let at = offset.saturating_add(range.start as u64);
        let Some(part) = map.get_mut(range) else { return Ok(()) };
        file.source.read_into(at, part, "debug section")
    }

    /// Fills in the whole section.
    ///
    /// # Errors
    /// Those of [`SectionBuffer::fill`].
    pub fn fill_all(&mut self, file: &ElfFile) -> Result<(), ElfError> {
        self.fill(file, 0..usize::MAX)?;
        self.offset = None;
        Ok(())
    }

    /// A buffer of the same length with only these parts of this one, and nothing to fill in.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn with_only(&self, parts: impl Iterator<Item = Range<usize>>) -> Result<SectionBuffer, ElfError> {
        let bytes = self.bytes();
        let mut only = SectionBuffer::new(bytes.len() as u64, "debug section")?;
        let Some(map) = &mut only.map else { return Ok(only) };
        for part in parts {
            if let (Some(into), Some(from)) = (map.get_mut(part.clone()), bytes.get(part)) {
                into.copy_from_slice(from);
            }
        }
        Ok(only)
    }

    /// Puts `bytes` at an offset, as far as the section goes.
    pub fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let into = self.map.as_deref_mut().and_then(|map| map.get_mut(at..)).unwrap_or_default();
        into.iter_mut().zip(bytes).for_each(|(into, byte)| *into = *byte);
    }

    /// Whether parts of it may not have been filled in.
    pub fn is_partial(&self) -> bool {
        self.offset.is_some()
    }
}

impl ElfFile {
    /// The first section of that name, with nothing filled in yet; a compressed one is decompressed at once.
    ///
    /// # Errors
    /// Those of [`ElfFile::section_bytes`].
    pub fn section_buffer(&self, name: &'static str) -> Result<SectionBuffer, ElfError> {
        let section = self.section(name).filter(|s| s.has_bytes()).ok_or(ElfError::Missing(name))?;
        if section.flags & elf::SHF_COMPRESSED.0 != 0 {
            return self.decompressed(section.offset, section.size, name);
        }
        if section.offset.checked_add(section.size).is_none_or(|end| end > self.source.len()) {
            return Err(ElfError::Malformed(name));
        }
        Ok(SectionBuffer { offset: Some(section.offset), ..SectionBuffer::new(section.size, name)? })
    }

    /// Decompresses while it reads, so that the compressed bytes are never all in memory.
    fn decompressed(&self, offset: u64, size: u64, name: &'static str) -> Result<SectionBuffer, ElfError> {
        let malformed = ElfError::Malformed(name);
        let header = self.source.read(offset, COMPRESSION_HEADER_SIZE as u64, name)?;
        let mut buffer = SectionBuffer::new(u64_at(&header, 8).unwrap_or(0), name)?;
        let Some(map) = &mut buffer.map else { return Ok(buffer) };
        if u32_at(&header, 0) == Some(elf::ELFCOMPRESS_ZLIB.0) {
            let data = size.checked_sub(COMPRESSION_HEADER_SIZE as u64).ok_or(malformed.clone())?;
            let start = offset.saturating_add(COMPRESSION_HEADER_SIZE as u64);
            let reader = self.source.reader(start, data);
            ZlibDecoder::new(reader).read_exact(map).map_err(|_| malformed)?;
        } else {
            let bytes = self.section_bytes(name)?;
            map.get_mut(..bytes.len()).ok_or(malformed)?.copy_from_slice(&bytes);
        }
        Ok(buffer)
    }
}
