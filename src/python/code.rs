//! Reads code objects: what a Python frame runs.
//!
//! Does: read names, file and location table of one code object, and what tells cheaply whether an address still holds
//! the same one. Does not: cache anything, or decode the location table (`line_table`).

use crate::python::layout::{CodeLayout, Layout, MAX_CODE_BYTES};
use crate::python::line_table;
use crate::python::strings::{self, StringError};
use crate::python::type_flags::{BYTES_SUBCLASS, type_flags};
use crate::target::memory::{Memory, ReadError, Region};
use crate::types::Addr;

/// The most bytes of a location table that are read. A module of 100,000 lines has about 1 MB.
const MAX_LINE_TABLE: u64 = 16 << 20;
/// The most bytes of each object that are kept as evidence of a code object.
const MAX_EVIDENCE: u64 = 256;

/// What a code object's own bytes say of which one it is. Two reads of one address that give the same identity have
/// seen the same code object if that has a version; else [`CodeObject::evidence`] decides, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeIdentity {
    filename: Addr,
    name: Addr,
    qualname: Addr,
    line_table: Addr,
    first_line: u32,
    first_traceable: u32,
    version: Option<u32>,
    size: u64,
}

impl CodeIdentity {
    /// How many bytes from a code object's address hold its identity, for callers that read many at once.
    pub fn read_len(layout: &Layout) -> usize {
        layout.code.bytecode.min(MAX_CODE_BYTES)
    }

    /// The identity in the first [`CodeIdentity::read_len`] bytes of a code object; `None` when there are fewer.
    pub fn parse(layout: &Layout, bytes: &[u8]) -> Option<CodeIdentity> {
        let CodeLayout { filename, name, qualname, linetable, first_line, first_traceable, version, .. } = layout.code;
        let word = |offset: usize| Some(u64::from_le_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?));
        let half = |offset: usize| Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?));
        Some(CodeIdentity {
            filename: Addr::of_pointer(word(filename)?),
            name: Addr::of_pointer(word(name)?),
            qualname: Addr::of_pointer(word(qualname)?),
            line_table: Addr::of_pointer(word(linetable)?),
            first_line: half(first_line)?,
            first_traceable: half(first_traceable)?,
            version: version.and_then(half),
            size: word(layout.object.ob_size)?,
        })
    }

    /// Reads the identity of the code object at `code`, with one read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(mem: &impl Memory, layout: &Layout, code: Addr) -> Result<CodeIdentity, ReadError> {
        let mut buf = [0; MAX_CODE_BYTES];
        let len = Self::read_len(layout);
        let bytes = buf.get_mut(..len).ok_or(ReadError { addr: code, len })?;
        mem.read(code, bytes)?;
        Self::parse(layout, bytes).ok_or(ReadError { addr: code, len })
    }
}

/// A code object, copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeObject {
    /// Which code object this is.
    pub identity: CodeIdentity,
    /// The file as the compiler was told (`co_filename`): a path, `<string>`, `<frozen importlib._bootstrap>`.
    pub filename: String,
    /// The bare name.
    pub name: String,
    /// The dotted name.
    pub qualname: String,
    /// The line on which it begins; with decorators that of the first decorator.
    pub first_line: u32,
    /// The first instruction of the code proper, in bytes: see `PythonStack::drop_incomplete`.
    pub first_traceable: u32,
    /// What the code object leads to and how that began, where its own bytes do not identify it: without a version,
    /// one that takes a freed one's place can have names and a location table in the places of the freed one's, too.
    pub evidence: Vec<Region>,
    bytecode_len: u64,
    line_table: Vec<u8>,
}

/// Why a code object could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Memory that must be there could not be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// There is no code object at this address: it was freed, or the frame was torn.
    #[error("there is no code object at {0}")]
    NotCode(Addr),
    /// One of its names could not be read.
    #[error("a name of a code object cannot be read: {0}")]
    Name(#[from] StringError),
    /// Its location table is not a bytes object, or larger than any real one.
    #[error("the location table at {0} is damaged")]
    BadLineTable(Addr),
}

impl CodeObject {
    /// Reads the code object at `code`.
    ///
    /// # Errors
    /// [`CodeError`], of any kind.
    pub fn read(mem: &impl Memory, layout: &Layout, code: Addr) -> Result<CodeObject, CodeError> {
        check_type(mem, layout, code)?;
        let identity = CodeIdentity::read(mem, layout, code)?;
        Ok(CodeObject {
            identity,
            filename: strings::read(mem, layout, identity.filename)?,
            name: strings::read(mem, layout, identity.name)?,
            qualname: strings::read(mem, layout, identity.qualname)?,
            first_line: identity.first_line,
            // Both are in code units of two bytes.
            first_traceable: identity.first_traceable.saturating_mul(2),
            evidence: if identity.version.is_none() { evidence(mem, layout, &identity) } else { Vec::new() },
            bytecode_len: identity.size.saturating_mul(2),
            line_table: read_bytes(mem, layout, identity.line_table)?,
        })
    }

    /// Reads all that [`CodeObject::read`] would, as far as `mem` leads there, and keeps nothing of it: for a memory that
    /// notes what it lacks, so that much of it can be fetched at once.
    pub fn prefetch(mem: &impl Memory, layout: &Layout, code: Addr) {
        let Ok(identity) = CodeIdentity::read(mem, layout, code) else { return };
        let _ = check_type(mem, layout, code);
        for string in [identity.filename, identity.name, identity.qualname] {
            let _ = strings::bytes(mem, layout, string);
        }
        let _ = read_bytes(mem, layout, identity.line_table);
        if identity.version.is_none() {
            evidence(mem, layout, &identity);
        }
    }

    /// What it takes in memory, in bytes, its names as a function's, too.
    pub fn bytes(&self) -> u64 {
        let names = 2 * (self.filename.len() + self.qualname.len()) + self.name.len();
        let evidence: usize = self.evidence.iter().map(|part| part.bytes.len() + size_of::<Region>()).sum();
        (2 * size_of::<CodeObject>() + names + evidence + self.line_table.len()) as u64
    }

    /// The line of the instruction at `offset` bytes; `None` where the code has no line there, or the offset is not in it.
    pub fn line_at(&self, offset: u32) -> Option<u32> {
        if u64::from(offset) >= self.bytecode_len {
            return None;
        }
        line_table::line_at(&self.line_table, self.first_line, offset)
    }
}

/// The beginnings of what tells one code object from another. What cannot be read is no evidence.
fn evidence(mem: &impl Memory, layout: &Layout, identity: &CodeIdentity) -> Vec<Region> {
    let mut names = vec![identity.qualname, identity.name, identity.filename];
    // The bare name of a function of a module is its dotted name.
    names.dedup();
    let strings = names.into_iter().filter_map(|object| {
        let strings::Characters { data, length, kind } = strings::characters(mem, layout, object).ok()?;
        // With the null character behind the last: a longer name begins otherwise.
        Some((data, length.saturating_add(1).saturating_mul(u64::from(kind))))
    });
    let table = identity.line_table;
    let table_len = mem.read_u64(table.wrapping_add(layout.object.ob_size as u64)).ok();
    // Behind the last byte is a null (bytesobject.h), and each entry of a location table begins with its highest bit set.
    let table = table_len.map(|len| (table.wrapping_add(layout.object.bytes_data), len.saturating_add(1)));
    let beginning = |(start, len): (Addr, u64)| {
        let len = usize::try_from(len.min(MAX_EVIDENCE)).ok()?;
        Some(Region { start, bytes: mem.read_vec(start, len).ok()? })
    };
    strings.chain(table).filter_map(beginning).collect()
}

/// Checks that the object's type calls itself `code`. Freed memory and torn frames do not get past this.
fn check_type(mem: &impl Memory, layout: &Layout, code: Addr) -> Result<(), CodeError> {
    let object_type = mem.read_addr(code.wrapping_add(layout.object.ob_type))?;
    let name = mem.read_addr(object_type.wrapping_add(layout.object.tp_name)).map_err(|_| CodeError::NotCode(code))?;
    let mut buf = [0; 5];
    mem.read(name, &mut buf).map_err(|_| CodeError::NotCode(code))?;
    if buf == *b"code\0" { Ok(()) } else { Err(CodeError::NotCode(code)) }
}

fn read_bytes(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<Vec<u8>, CodeError> {
    let bad = CodeError::BadLineTable(object);
    if type_flags(mem, &layout.object, object)? & BYTES_SUBCLASS == 0 {
        return Err(bad);
    }
    let len = mem.read_u64(object.wrapping_add(layout.object.ob_size as u64))?;
    if len > MAX_LINE_TABLE {
        return Err(bad);
    }
    let len = usize::try_from(len).map_err(|_| bad)?;
    Ok(mem.read_vec(object.wrapping_add(layout.object.bytes_data), len)?)
}
