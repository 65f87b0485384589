//! The sections of DWARF, and the beginnings of the units in `.debug_info`.
//!
//! Does: put them together for gimli. Does not: load them, or look anything up.

use gimli::{Dwarf, DwarfSections, UnitHeader};

use super::metered::{Metered, ReadMeter};
use crate::target::elf::SectionBuffer;

pub(super) type Bytes<'a> = Metered<'a>;

/// How much is read of each unit to see what it covers: its header and its first entry, some 60 bytes with the usual
/// forms. A unit whose first entry is longer is read as a whole.
pub(super) const HEAD: usize = 512;

/// All sections but the module's `.debug_info`, of which the units that are needed are chosen by what these say.
#[derive(Debug)]
pub(super) struct OtherSections {
    pub(super) main: DwarfSections<SectionBuffer>,
    pub(super) shared: Option<DwarfSections<SectionBuffer>>,
    /// What is made of them has room for as long as this says.
    pub(super) meter: ReadMeter,
}

impl OtherSections {
    /// All sections as one.
    pub(super) fn with<'a>(&'a self, info: &'a [u8]) -> Dwarf<Bytes<'a>> {
        let bytes = |section: &'a SectionBuffer| Metered::new(section.bytes(), &self.meter);
        let mut dwarf = self.main.borrow_with_sup(self.shared.as_ref(), bytes);
        dwarf.debug_info = gimli::DebugInfo::from(Metered::new(info, &self.meter));
        dwarf
    }
}

pub(super) fn contains_any(addresses: &[u64], begin: u64, end: u64) -> bool {
    let first = addresses.partition_point(|address| *address < begin);
    addresses.get(first).is_some_and(|address| *address < end)
}

pub(super) fn header_at<'a>(dwarf: &Dwarf<Bytes<'a>>, offset: usize) -> gimli::Result<UnitHeader<Bytes<'a>>> {
    dwarf.debug_info.header_from_offset(gimli::DebugInfoOffset(offset))
}
