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

use super::error::check_room;
use super::source::{SourceReader, u32_at, u64_at};
use super::{COMPRESSION_HEADER_SIZE, ElfError, ElfFile, MAX_SECTION_BYTES};
use crate::target::memory_budget::{Meter, Share};
use crate::types::room::Room;

const WHAT: &str = "debug section";

/// A section's bytes. What has not been filled in is zero.
#[derive(Debug, Default)]
pub struct SectionBuffer {
    /// `None` for no bytes at all, which cannot be mapped.
    map: Option<MmapMut>,
    origin: Origin,
}

/// Where the bytes are that have not been filled in.
#[derive(Debug, Default, Clone, Copy)]
enum Origin {
    /// There are none.
    #[default]
    Complete,
    /// As they are, from this offset in the file.
    Plain(u64),
    /// A zlib stream of `size` bytes at `offset` in the file.
    Zlib { offset: u64, size: u64 },
}

/// One way through a section, from its beginning to its end, that fills parts of its buffer in.
pub struct Filler<'a> {
    map: &'a mut [u8],
    source: Parts<'a>,
    room: Meter,
}

enum Parts<'a> {
    Complete,
    Plain {
        file: &'a ElfFile,
        offset: u64,
    },
    /// `at` is how much of the section has been decompressed.
    Zlib {
        stream: Box<ZlibDecoder<SourceReader<'a>>>,
        at: usize,
    },
}

impl Filler<'_> {
    /// The section at its full length.
    pub fn bytes(&self) -> &[u8] {
        self.map
    }

    /// Fills in a part of the section, as far as the section goes. No part begins before the one that was asked for
    /// last: what a compressed section has between two parts is decompressed to be thrown away.
    ///
    /// # Errors
    /// When the file cannot be read, or cannot be decompressed, or has become shorter, or there is no room for the part.
    pub fn fill(&mut self, range: Range<usize>) -> Result<(), ElfError> {
        let end = range.end.min(self.map.len());
        // The map takes room where it is written to, and only there.
        let size = end.saturating_sub(range.start) as u64;
        if !self.room.take(size) {
            return Err(ElfError::NoRoom(WHAT));
        }
        match &mut self.source {
            Parts::Complete => Ok(()),
            Parts::Plain { file, offset } => {
                let at = offset.saturating_add(range.start as u64);
                let Some(part) = self.map.get_mut(range.start..end) else { return Ok(()) };
                file.source.read_into(at, part, WHAT)
            }
            Parts::Zlib { stream, at } => {
                let start = range.start.max(*at);
                let Some(part) = self.map.get_mut(start..end) else { return Ok(()) };
                let skipped = start.saturating_sub(*at) as u64;
                let copied = std::io::copy(&mut stream.by_ref().take(skipped), &mut std::io::sink());
                if copied.ok() != Some(skipped) || stream.read_exact(part).is_err() {
                    return Err(ElfError::Malformed(WHAT));
                }
                *at = end;
                Ok(())
            }
        }
    }
}

impl SectionBuffer {
    fn new(len: u64, what: &'static str) -> Result<SectionBuffer, ElfError> {
        let too_large = ElfError::TooLarge { what, size: len };
        if len > MAX_SECTION_BYTES {
            return Err(too_large);
        }
        let len = usize::try_from(len).map_err(|_| too_large.clone())?;
        let map = if len == 0 { None } else { Some(MmapMut::map_anon(len).map_err(|_| too_large)?) };
        Ok(SectionBuffer { map, origin: Origin::Complete })
    }

    /// The section at its full length.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Begins to fill in parts. `file` is the one that the buffer is from.
    pub fn filler<'a>(&'a mut self, file: &'a ElfFile) -> Filler<'a> {
        let source = match self.origin {
            Origin::Complete => Parts::Complete,
            Origin::Plain(offset) => Parts::Plain { file, offset },
            Origin::Zlib { offset, size } => {
                let stream = Box::new(ZlibDecoder::new(file.source.reader(offset, size)));
                Parts::Zlib { stream, at: 0 }
            }
        };
        Filler { map: self.map.as_deref_mut().unwrap_or_default(), source, room: Meter::new(Share::All) }
    }

    /// Fills in the whole section.
    ///
    /// # Errors
    /// Those of [`Filler::fill`].
    pub fn fill_all(&mut self, file: &ElfFile) -> Result<(), ElfError> {
        self.filler(file).fill(0..usize::MAX)?;
        self.origin = Origin::Complete;
        Ok(())
    }

    /// Puts `bytes` at an offset, as far as the section goes.
    pub fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let into = self.map.as_deref_mut().and_then(|map| map.get_mut(at..)).unwrap_or_default();
        into.iter_mut().zip(bytes).for_each(|(into, byte)| *into = *byte);
    }

    /// Whether going to a part of it means decompressing all that is before.
    pub fn is_stream(&self) -> bool {
        matches!(self.origin, Origin::Zlib { .. })
    }
}

impl ElfFile {
    /// The first section of that name, with nothing filled in yet; but all of one that is compressed with Zstandard.
    ///
    /// # Errors
    /// Those of [`ElfFile::section_bytes`].
    pub fn section_buffer(&self, name: &'static str) -> Result<SectionBuffer, ElfError> {
        let section = self.section(name).filter(|s| s.has_bytes()).ok_or(ElfError::Missing(name))?;
        if section.flags & elf::SHF_COMPRESSED.0 != 0 {
            return self.compressed(section.offset, section.size, name);
        }
        if section.offset.checked_add(section.size).is_none_or(|end| end > self.source.len()) {
            return Err(ElfError::Malformed(name));
        }
        Ok(SectionBuffer { origin: Origin::Plain(section.offset), ..SectionBuffer::new(section.size, name)? })
    }

    fn compressed(&self, offset: u64, size: u64, name: &'static str) -> Result<SectionBuffer, ElfError> {
        let malformed = ElfError::Malformed(name);
        let header = self.source.read(offset, COMPRESSION_HEADER_SIZE as u64, name)?;
        let mut buffer = SectionBuffer::new(u64_at(&header, 8).unwrap_or(0), name)?;
        if u32_at(&header, 0) == Some(elf::ELFCOMPRESS_ZLIB.0) {
            let size = size.checked_sub(COMPRESSION_HEADER_SIZE as u64).ok_or(malformed)?;
            let offset = offset.saturating_add(COMPRESSION_HEADER_SIZE as u64);
            buffer.origin = Origin::Zlib { offset, size };
        } else if buffer.map.is_some() {
            // Both are in memory for a moment.
            check_room(name, buffer.bytes().len() as u64 * 2)?;
            let bytes = self.section_bytes(name)?;
            let map = buffer.map.as_deref_mut().unwrap_or_default();
            map.get_mut(..bytes.len()).ok_or(malformed)?.copy_from_slice(&bytes);
        }
        Ok(buffer)
    }
}
