//! An ELF file of the target: where its parts are, and their bytes.
//!
//! Does: read the header, the segments and the sections of a 64-bit little-endian file, on demand and bounded; work
//! without section headers (`sstrip`) wherever the program headers tell the same.
//! Does not: map the file (a file truncated under a mapping kills its reader), name addresses, or interpret CFI or
//! DWARF. Layouts are those of the System V gABI, chapters 4 and 5, and `elf(5)`.

mod buffer;
mod data;
mod error;
mod links;
mod relocations;
mod source;
mod symbol_by_name;
mod symbols;
#[cfg(test)]
mod tests;
mod unwind;

pub use buffer::{Filler, SectionBuffer};
pub use data::IMPORTED;
pub use error::{ElfError, MAX_SECTION_BYTES};
pub use links::{BuildId, DebugAltLink, DebugLink};
pub use relocations::{Filling, RelocationTable, SlotRelocation};
pub use symbols::{ElfSymbol, SymbolTable, SymbolTableKind};
pub use unwind::{SectionData, UnwindSections};

use std::fs::File;

use object::elf;
use object::read::{CompressedData, CompressionFormat};

use crate::types::{Addr, FileOffset, Machine, Svma};
use source::{Source, u16_at, u32_at, u64_at};

const FILE_HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: usize = 56;
const SECTION_HEADER_SIZE: usize = 64;
const COMPRESSION_HEADER_SIZE: usize = 24;
/// The longest name of a section that is looked at.
const MAX_SECTION_NAME: usize = 256;
/// `e_shnum` is 16 bits wide; files with more sections put the number elsewhere. No linked file comes near this.
const MAX_SECTIONS: u64 = 1 << 17;
/// The largest distance between a segment's start and the start of its page: 64 KiB pages are the largest in use.
const MAX_PAGE: u64 = 1 << 16;

/// One program header: a part of the file that is, or describes, a part of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`, `PT_*`.
    pub kind: u32,
    /// `p_flags`: readable, writable, executable.
    pub flags: u32,
    /// Where it begins in the file.
    pub offset: FileOffset,
    /// Where it begins in memory, before the load bias.
    pub svma: Svma,
    /// Its bytes in the file.
    pub file_size: u64,
    /// Its bytes in memory.
    pub memory_size: u64,
}

impl Segment {
    /// Whether the segment's memory can hold code.
    pub fn is_executable(&self) -> bool {
        self.flags & elf::PF_X.0 != 0
    }

    /// Whether the program can write to the segment's memory, or could when it was loaded.
    pub fn is_writable(&self) -> bool {
        self.flags & elf::PF_W.0 != 0
    }

    /// Whether an address is in the segment's memory.
    pub fn contains(&self, svma: Svma) -> bool {
        svma.0.checked_sub(self.svma.0).is_some_and(|offset| offset < self.memory_size)
    }
}

/// One section header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The section's name. Bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Where it is in memory before the load bias; 0 for sections that are not loaded.
    pub svma: Svma,
    /// Its bytes in memory; for a compressed section, the compressed bytes.
    pub size: u64,
    kind: u32,
    flags: u64,
    offset: u64,
    link: u32,
}

impl Section {
    /// Whether the section holds code.
    pub fn is_executable(&self) -> bool {
        self.flags & elf::SHF_EXECINSTR.0 != 0
    }

    /// Whether the file has the section's bytes: a separate debug file has the headers of the code, not the code.
    pub fn has_bytes(&self) -> bool {
        self.kind != elf::SHT_NOBITS.0
    }

    /// Whether its bytes are compressed.
    fn is_compressed(&self) -> bool {
        self.flags & elf::SHF_COMPRESSED.0 != 0
    }
}

/// An opened ELF file for a supported machine.
#[derive(Debug)]
pub struct ElfFile {
    source: Source,
    machine: Machine,
    segments: Vec<Segment>,
    sections: Vec<Section>,
}

impl ElfFile {
    /// Reads the headers of an opened file. Everything else is read when it is asked for.
    pub fn open(file: File) -> Result<ElfFile, ElfError> {
        ElfFile::read(Source::file(file)?)
    }

    /// Reads the headers of a file that is in memory, such as the vDSO.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<ElfFile, ElfError> {
        ElfFile::read(Source::bytes(bytes))
    }

    /// Reads the headers of a file of which only the mapped parts are known, each at its offset, from the memory in which one mapping of
    /// it begins at `start`.
    pub fn from_image(image: Vec<u8>, start: Addr, offset: FileOffset, executable: bool) -> Result<ElfFile, ElfError> {
        let mut elf = ElfFile::from_bytes(image)?;
        let end = elf.load_segments().map(|s| s.offset.0.saturating_add(s.file_size)).max();
        if let Source::Bytes(image) = &mut elf.source {
            // What is behind it in its last page are variables that begin as zero, and not what the file has there: section headers.
            image.truncate(end.and_then(|end| usize::try_from(end).ok()).unwrap_or(0));
        }
        if let Some(bias) = elf.load_bias(start, offset, executable) {
            elf.undo_relocation(bias);
        }
        ElfFile::read(elf.source)
    }

    fn read(source: Source) -> Result<ElfFile, ElfError> {
        let header = source.read(0, FILE_HEADER_SIZE as u64, "file header").map_err(|error| match error {
            ElfError::Malformed(_) => ElfError::NotElf,
            other => other,
        })?;
        let machine = check_header(&header)?;
        let segments = read_segments(&source, &header)?;
        // A file without usable section headers still runs, so it is still worth unwinding and naming.
        let sections = read_sections(&source, &header).unwrap_or_default();
        Ok(ElfFile { source, machine, segments, sections })
    }

    /// Whether another file has the same bytes.
    pub fn is_same_as(&self, other: &ElfFile) -> bool {
        self.source.is_same_as(&other.source)
    }

    /// The machine that the file's code is for.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// All program headers, in the file's order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The program headers of the parts that are loaded, in the file's order.
    pub fn load_segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments_of(elf::PT_LOAD)
    }

    fn segments_of(&self, kind: elf::ProgramType) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |s| s.kind == kind.0)
    }

    /// All section headers; none if the file has none that can be read.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The first section of that name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// What to add to an [`Svma`] of this file to get the target's address (wrapping), given where one mapping of the
    /// file begins and whether that mapping is executable.
    ///
    /// Two segments can share a page of the file (lld packs them), so permissions decide before position.
    pub fn load_bias(&self, start: Addr, offset: FileOffset, executable: bool) -> Option<u64> {
        let distance = |s: &Segment| match offset.0.checked_sub(s.offset.0) {
            Some(inside) => (inside < s.file_size).then_some(0),
            None => s.offset.0.checked_sub(offset.0).filter(|before| *before < MAX_PAGE),
        };
        let nearest = |wanted: bool| {
            self.load_segments()
                .filter(|s| s.is_executable() == wanted)
                .filter_map(|s| Some((distance(s)?, s)))
                .min_by_key(|(distance, _)| *distance)
        };
        let (_, segment) = nearest(executable).or_else(|| nearest(!executable))?;
        let svma = segment.svma.0.wrapping_add(offset.0).wrapping_sub(segment.offset.0);
        Some(start.0.wrapping_sub(svma))
    }

    /// Where the file's first byte would be, before the load bias, if it were mapped with the code of that many bytes at an address;
    /// `None` where the file has no code there.
    pub fn code_base(&self, svma: Svma, len: u64) -> Option<u64> {
        let page = |address: u64| address & !(MAX_PAGE - 1);
        let mut code = self.load_segments().filter(|s| s.is_executable());
        let (start, end) = (svma.0, svma.0.saturating_add(len));
        let segment = code.find(|s| {
            let segment_end = s.svma.0.saturating_add(s.memory_size);
            // Mappings begin and end with pages, of up to 64 KiB. But where pages are smaller, there can be holes between a file's segments,
            // into which the kernel puts other mappings: a JIT's.
            let overlaps = start < segment_end && end > s.svma.0;
            overlaps && page(s.svma.0) <= start && end <= page(segment_end.saturating_add(MAX_PAGE - 1))
        })?;
        Some(segment.svma.0.wrapping_sub(segment.offset.0))
    }

    /// Whether an address lies in memory that can hold code.
    pub fn is_code(&self, svma: Svma) -> bool {
        self.load_segments().any(|s| s.is_executable() && s.contains(svma))
    }

    /// The bytes of the first section of that name, decompressed.
    ///
    /// Fails when there is no such section, when it has no bytes in this file, and when it is larger than
    /// [`MAX_SECTION_BYTES`].
    pub fn section_bytes(&self, name: &'static str) -> Result<Vec<u8>, ElfError> {
        let section = self.section(name).ok_or(ElfError::Missing(name))?;
        self.bytes_of(section, name)
    }

    fn bytes_of(&self, section: &Section, what: &'static str) -> Result<Vec<u8>, ElfError> {
        if !section.has_bytes() {
            return Err(ElfError::Missing(what));
        }
        let raw = self.source.read(section.offset, section.size, what)?;
        if section.is_compressed() { decompress(&raw, what) } else { Ok(raw) }
    }

    /// The section's size after decompression, in bytes, as the file states it.
    pub fn uncompressed_size(&self, section: &Section) -> u64 {
        if !section.is_compressed() {
            return section.size;
        }
        let header = self.source.read(section.offset, COMPRESSION_HEADER_SIZE as u64, "compression header");
        header.ok().and_then(|h| u64_at(&h, 8)).unwrap_or(0)
    }

    /// Instructions as the file has them: `len` bytes at an address of an executable segment.
    ///
    /// Fails where the file has no code there, and when it is more than [`MAX_SECTION_BYTES`].
    pub fn code_bytes(&self, svma: Svma, len: u64) -> Result<Vec<u8>, ElfError> {
        if !self.is_code(svma) {
            return Err(ElfError::Missing("code"));
        }
        self.loaded_bytes(svma, len, "code")
    }

    /// Bytes of the loaded image, as the file has them.
    fn loaded_bytes(&self, svma: Svma, len: u64, what: &'static str) -> Result<Vec<u8>, ElfError> {
        let (offset, available) = self.loaded_range(svma).ok_or(ElfError::Malformed(what))?;
        if len > available {
            return Err(ElfError::Malformed(what));
        }
        self.source.read(offset, len, what)
    }

    /// Where in the file an address of the loaded image is, and how many bytes the file has from there.
    fn loaded_range(&self, svma: Svma) -> Option<(u64, u64)> {
        self.load_segments().find_map(|s| {
            let inside = svma.0.checked_sub(s.svma.0)?;
            let available = s.file_size.checked_sub(inside).filter(|n| *n > 0)?;
            Some((s.offset.0.checked_add(inside)?, available))
        })
    }

    /// The CRC that a `.gnu_debuglink` to this file would state.
    pub fn debug_link_crc(&self) -> Result<u32, ElfError> {
        self.source.crc()
    }
}

fn check_header(header: &[u8]) -> Result<Machine, ElfError> {
    if !header.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    let machine = u16_at(header, 18).unwrap_or(0);
    match header.get(4..6) {
        Some([class, _]) if *class == elf::ELFCLASS32.0 => Err(ElfError::Class32),
        Some([class, order]) if *class == elf::ELFCLASS64.0 && *order == elf::ELFDATA2LSB.0 => match machine {
            m if m == elf::EM_X86_64.0 => Ok(Machine::X86_64),
            m if m == elf::EM_AARCH64.0 => Ok(Machine::Aarch64),
            m => Err(ElfError::ForeignMachine(m)),
        },
        Some([class, _]) if *class == elf::ELFCLASS64.0 => Err(ElfError::ForeignMachine(machine.swap_bytes())),
        _ => Err(ElfError::Malformed("class")),
    }
}

fn read_segments(source: &Source, header: &[u8]) -> Result<Vec<Segment>, ElfError> {
    const WHAT: &str = "program headers";
    let field = |at| u16_at(header, at).ok_or(ElfError::Malformed(WHAT));
    let (offset, entry_size, count) = (u64_at(header, 32).unwrap_or(0), usize::from(field(54)?), field(56)?);
    if count == 0 {
        return Ok(Vec::new());
    }
    if entry_size < PROGRAM_HEADER_SIZE {
        return Err(ElfError::Malformed(WHAT));
    }
    let table = source.read(offset, entry_size as u64 * u64::from(count), WHAT)?;
    let segment = |h: &[u8]| {
        Some(Segment {
            kind: u32_at(h, 0)?,
            flags: u32_at(h, 4)?,
            offset: FileOffset(u64_at(h, 8)?),
            svma: Svma(u64_at(h, 16)?),
            file_size: u64_at(h, 32)?,
            memory_size: u64_at(h, 40)?,
        })
    };
    Ok(table.chunks_exact(entry_size).filter_map(segment).collect())
}

fn read_sections(source: &Source, header: &[u8]) -> Result<Vec<Section>, ElfError> {
    const WHAT: &str = "section headers";
    let field = |at| u16_at(header, at).ok_or(ElfError::Malformed(WHAT));
    let (offset, entry_size) = (u64_at(header, 40).unwrap_or(0), usize::from(field(58)?));
    if offset == 0 || entry_size < SECTION_HEADER_SIZE {
        return Err(ElfError::Missing(WHAT));
    }
    // Numbers that do not fit in the file header are in the first section header (gABI, "Section Header Table").
    let first = source.read(offset, SECTION_HEADER_SIZE as u64, WHAT)?;
    let count = match field(60)? {
        0 => u64_at(&first, 32).unwrap_or(0),
        count => u64::from(count),
    };
    let names_index = match field(62)? {
        0xffff => u32_at(&first, 40).unwrap_or(0),
        index => u32::from(index),
    };
    if count > MAX_SECTIONS {
        return Err(ElfError::TooLarge { what: WHAT, size: count.saturating_mul(entry_size as u64) });
    }
    let table = source.read(offset, count * entry_size as u64, WHAT)?;
    let raw: Vec<(u32, Section)> = table.chunks_exact(entry_size).filter_map(parse_section).collect();
    let names = match raw.get(names_index as usize) {
        Some((_, s)) if s.has_bytes() => source.read(s.offset, s.size, "section names")?,
        _ => return Err(ElfError::Malformed("section names")),
    };
    let named = raw.into_iter().map(|(name, section)| {
        // None that anything looks for is longer; all of a hundred thousand could be one of a megabyte.
        let name = source::string_at(&names, name as usize).filter(|name| name.len() <= MAX_SECTION_NAME);
        let name = name.unwrap_or_default();
        Section { name: String::from_utf8_lossy(name).into_owned(), ..section }
    });
    Ok(named.collect())
}

fn parse_section(h: &[u8]) -> Option<(u32, Section)> {
    let section = Section {
        name: String::new(),
        kind: u32_at(h, 4)?,
        flags: u64_at(h, 8)?,
        svma: Svma(u64_at(h, 16)?),
        offset: u64_at(h, 24)?,
        size: u64_at(h, 32)?,
        link: u32_at(h, 40)?,
    };
    Some((u32_at(h, 0)?, section))
}

/// Undoes `SHF_COMPRESSED`: an `Elf64_Chdr` {type, reserved, size, alignment}, then the compressed bytes.
fn decompress(raw: &[u8], what: &'static str) -> Result<Vec<u8>, ElfError> {
    let malformed = || ElfError::Malformed(what);
    let format = match u32_at(raw, 0).map(elf::CompressionType) {
        Some(elf::ELFCOMPRESS_ZLIB) => CompressionFormat::Zlib,
        Some(elf::ELFCOMPRESS_ZSTD) => CompressionFormat::Zstandard,
        _ => return Err(malformed()),
    };
    let uncompressed_size = u64_at(raw, 8).ok_or_else(malformed)?;
    if uncompressed_size > MAX_SECTION_BYTES {
        return Err(ElfError::TooLarge { what, size: uncompressed_size });
    }
    error::check_room(what, uncompressed_size)?;
    let data = raw.get(COMPRESSION_HEADER_SIZE..).ok_or_else(malformed)?;
    let bytes = CompressedData { format, data, uncompressed_size }.decompress().map_err(|_| malformed())?;
    Ok(bytes.into_owned())
}
