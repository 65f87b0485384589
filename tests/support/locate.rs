//! A small finder of `_PyRuntime` in a child, independent of the library's own, so that each can be tested alone.

use std::fs;
use std::os::unix::fs::FileExt;

use fpprof::target::memory::{Memory, ReadError};
use fpprof::types::Addr;
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol};

/// `/proc/PID/mem` of a child.
pub struct ProcMemory(fs::File);

impl ProcMemory {
    /// Opens the memory of a process.
    pub fn open(pid: u32) -> ProcMemory {
        ProcMemory(fs::File::open(format!("/proc/{pid}/mem")).expect("the child's memory can be opened"))
    }
}

impl Memory for ProcMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        self.0.read_exact_at(buf, addr.0).map_err(|_| ReadError { addr, len })
    }
}

/// Where a process has its runtime.
#[derive(Debug)]
pub struct Located {
    /// `_PyRuntime`.
    pub runtime: Addr,
    /// `Py_Version`.
    pub version_symbol: Option<Addr>,
    /// The file's name.
    pub file_name: String,
}

/// Finds the runtime of a Python process.
///
/// # Panics
/// When there is none.
pub fn locate(pid: u32) -> Located {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the child's maps can be read");
    let files = maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let start = u64::from_str_radix(fields.next()?.split('-').next()?, 16).ok()?;
        let offset = fields.nth(1)?;
        let path = fields.nth(2)?;
        (offset == "00000000" && path.contains("python")).then_some((start, path))
    });
    files
        .filter_map(|(start, path)| in_file(start, path))
        .next()
        .unwrap_or_else(|| panic!("no _PyRuntime in the process:\n{maps}"))
}

fn in_file(start: u64, path: &str) -> Option<Located> {
    let bytes = fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let first = file.segments().map(|segment| segment.address() & !0xfff).min()?;
    let bias = start.wrapping_sub(first);
    let symbol = |name: &str| {
        let mut symbols = file.dynamic_symbols().chain(file.symbols());
        symbols.find(|symbol| symbol.is_definition() && symbol.name() == Ok(name)).map(|symbol| symbol.address())
    };
    let section = file.section_by_name(".PyRuntime").map(|section| section.address());
    Some(Located {
        runtime: Addr(section.or_else(|| symbol("_PyRuntime"))?.wrapping_add(bias)),
        version_symbol: symbol("Py_Version").map(|svma| Addr(svma.wrapping_add(bias))),
        file_name: path.rsplit('/').next()?.to_owned(),
    })
}
