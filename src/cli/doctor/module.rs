//! What fpprof finds in one file of code.
//!
//! Does: measure its frame pointers, its unwind tables and where its names are from. Does not: judge them (`advice`).

use crate::profile::frame::FrameKind;
use crate::profile::kind::native_kind;
use crate::symbolize::{ModuleFile, NameSources, Symbolizer};
use crate::target::elf::{ElfError, ElfFile};
use crate::unwind::frame_pointers::{FramePointerUse, FrameRecordRule};

/// From this share of its code on, a file keeps frame pointers: what is left is a compiler's runtime, assembly, and
/// parts that were built with other flags.
const KEEPS: f64 = 0.9;
/// Below this share it does not: functions with a stack frame of variable size have a frame pointer in any case (a fifth
/// of a libc's code).
const OMITS: f64 = 0.5;
/// A file whose tables describe less of its code than this, and leave out more than so many bytes, has gaps in them: some
/// padding and stubs never have any.
const COVERS: f64 = 0.9;
const STUBS: u64 = 4096;

/// One file of code.
#[derive(Debug)]
pub struct ModuleReport {
    /// Its path, as the target names it.
    pub path: String,
    /// The last part of that.
    pub name: String,
    /// What kind of code is in it.
    pub kind: FrameKind,
    /// Bytes of code.
    pub code: u64,
    /// What its tables say of frame pointers.
    pub frame_pointers: FramePointerUse,
    /// What its unwind tables are.
    pub tables: Tables,
    /// Where names and lines are from.
    pub sources: NameSources,
    /// Why the file cannot be used.
    pub error: Option<ElfError>,
}

/// A file's unwind tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// `.eh_frame`, with a table to search in.
    Searchable,
    /// `.eh_frame` alone: fpprof goes through it once.
    Unsorted,
    /// None.
    Missing,
}

/// Whether code keeps frame pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nearly all of it does.
    Yes,
    /// A part of it does.
    Partly,
    /// Nearly none does.
    No,
    /// There are no tables to tell, or no function that could.
    Unknown,
}

impl ModuleReport {
    /// Examines a file.
    pub fn of(file: &ModuleFile, name: String, is_interpreter: bool, symbolizer: &Symbolizer) -> ModuleReport {
        let path = file.path.to_string_lossy().into_owned();
        let (mut code, mut frame_pointers, mut tables) = (0, FramePointerUse::default(), Tables::Missing);
        if let Ok(elf) = &file.elf {
            let sections = elf.unwind_sections();
            frame_pointers = FramePointerUse::measure(&sections, FrameRecordRule::of(elf.machine()));
            tables = match (sections.eh_frame_hdr, sections.eh_frame) {
                (Some(_), Some(_)) => Tables::Searchable,
                (None, Some(_)) => Tables::Unsorted,
                (_, None) => Tables::Missing,
            };
            code = code_bytes(elf);
        }
        ModuleReport {
            kind: native_kind(&path, is_interpreter),
            path,
            name,
            code,
            frame_pointers,
            tables,
            sources: symbolizer.sources(file),
            error: file.elf.as_ref().err().cloned(),
        }
    }

    /// Whether its code keeps frame pointers.
    pub fn keeps_frame_pointers(&self) -> Verdict {
        match self.frame_pointers.share() {
            Some(share) if share >= KEEPS => Verdict::Yes,
            Some(share) if share < OMITS => Verdict::No,
            Some(_) => Verdict::Partly,
            None => Verdict::Unknown,
        }
    }

    /// The share of its code that its unwind tables describe, from 0 to 1; none for a file without code.
    pub fn described(&self) -> Option<f64> {
        (self.code > 0).then(|| (self.frame_pointers.described() as f64 / self.code as f64).min(1.0))
    }

    /// Whether a good part of its code has no unwind tables.
    pub fn lacks_tables(&self) -> bool {
        let left_out = self.code.saturating_sub(self.frame_pointers.described());
        left_out > STUBS && self.described().is_some_and(|share| share < COVERS) && !self.frame_pointers.is_partial
    }
}

/// By its sections, or without any by its segments.
fn code_bytes(elf: &ElfFile) -> u64 {
    let sections = elf.sections().iter().filter(|section| section.is_executable() && section.has_bytes());
    let in_sections = sections.fold(0_u64, |sum, section| sum.saturating_add(section.size));
    if in_sections > 0 {
        return in_sections;
    }
    let segments = elf.load_segments().filter(|segment| segment.is_executable());
    segments.fold(0, |sum, segment| sum.saturating_add(segment.file_size))
}
