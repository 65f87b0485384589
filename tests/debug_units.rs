//! Names that are looked up with only some units of the debug information in memory are those that all of it gives.
//!
//! The file is this test itself, with the debug information of its thousand units; the truth is `addr2line` with the
//! whole of every section.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use addr2line::Context;
use fpprof::symbolize::{ModuleFile, Query, Symbolizer};
use fpprof::target::elf::{ElfFile, SymbolTableKind};
use fpprof::types::Svma;
use gimli::{Dwarf, EndianSlice, LittleEndian};
use object::{Object, ObjectSection};

/// File and line of each function at an address, the innermost first.
type Lines = Vec<(Option<String>, Option<u32>)>;

/// Addresses in the middle of functions from all over the file.
fn addresses(elf: &ElfFile, count: usize) -> Vec<Svma> {
    let table = elf.symbol_table(SymbolTableKind::Static).expect("a test has symbols");
    let middles = table.iter().filter(|s| s.is_defined() && s.size > 8).map(|s| Svma(s.svma.0 + s.size / 2));
    let middles: Vec<Svma> = middles.filter(|svma| elf.is_code(*svma)).collect();
    assert!(middles.len() > count, "{}", middles.len());
    middles.iter().step_by(middles.len() / count).copied().collect()
}

/// A copy of a file, with its debug information compressed.
fn compressed(path: &Path, into: &Path) -> PathBuf {
    let copy = into.join("compressed");
    let status = Command::new("objcopy").arg("--compress-debug-sections=zlib").arg(path).arg(&copy).status();
    assert!(status.expect("objcopy").success());
    let elf = ElfFile::open(File::open(&copy).expect("the copy")).expect("an ELF file");
    let info = elf.section(".debug_info").expect("debug information");
    assert!(info.size < elf.uncompressed_size(info));
    copy
}

#[test]
fn a_part_of_the_units_gives_the_same_lines_as_all_of_them() {
    let path = std::env::current_exe().expect("the test's own path");
    let bytes = fs::read(&path).expect("the test's own file");
    let object = object::File::parse(&*bytes).expect("an ELF file");
    let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let data = object.section_by_name(id.name()).map(|s| s.data().expect("its bytes")).unwrap_or_default();
        Ok(EndianSlice::new(data, LittleEndian))
    };
    let whole = Context::from_dwarf(Dwarf::load(section).expect("DWARF")).expect("DWARF");

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for path in [compressed(&path, folder), path] {
        gives_the_lines_of(&whole, path);
    }
}

fn gives_the_lines_of(whole: &Context<EndianSlice<'_, LittleEndian>>, path: PathBuf) {
    let elf = Arc::new(ElfFile::open(File::open(&path).expect("the file")).expect("an ELF file"));
    let module = ModuleFile { path, elf: Ok(Arc::clone(&elf)) };
    // As many as make several batches, and so few that most units are left out.
    let (mut looked_up, mut with_line) = (0, 0);
    for count in [1, 40, 600] {
        let addresses = addresses(&elf, count);
        let queries: Vec<Query> = addresses.iter().map(|svma| Query { svma: *svma, extent: None }).collect();
        let named = Symbolizer::new(None).resolve(&module, &queries).names;
        looked_up += addresses.len();
        for (svma, found) in addresses.iter().zip(named) {
            let mut expected = Lines::new();
            let mut frames = whole.find_frames(svma.0).skip_all_loads().expect("frames");
            while let Some(frame) = frames.next().expect("a frame") {
                let location = frame.location.as_ref();
                expected.push((location.and_then(|l| l.file).map(str::to_owned), location.and_then(|l| l.line)));
            }
            with_line += usize::from(expected.iter().any(|(_, line)| line.is_some()));
            let found: Lines = found.into_iter().map(|symbol| (symbol.file, symbol.line)).collect();
            // An address without debug information is named by its symbol.
            let expected = if expected.is_empty() { vec![(None, None)] } else { expected };
            assert_eq!(found, expected, "{svma}");
        }
    }
    assert!(with_line * 4 > looked_up, "{with_line} of {looked_up}");
}
