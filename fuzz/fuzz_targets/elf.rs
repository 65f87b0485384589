//! Any bytes as an ELF file: its headers, symbols, unwind tables, debug information, compressed or not, and names.

#![no_main]

use std::path::PathBuf;
use std::sync::Arc;

use fpprof::symbolize::{ModuleFile, PerfMap, Query, Symbolizer, decompress_xz, display_name};
use fpprof::target::elf::ElfFile;
use fpprof::types::{Addr, FileOffset, Svma};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = decompress_xz(data);
    let _ = PerfMap::parse(data).find(Addr(data.len() as u64));
    if let Ok(name) = std::str::from_utf8(data) {
        let _ = display_name(name);
    }
    let Ok(elf) = ElfFile::from_bytes(data.to_vec()) else { return };
    let _ = elf.load_bias(Addr(0x1000), FileOffset(0), true);
    let _ = elf.unwind_sections();
    let _ = elf.symbol("_PyRuntime");
    let starts = elf.load_segments().map(|s| s.svma).chain(elf.sections().iter().map(|s| s.svma));
    let queries: Vec<Query> =
        starts.take(16).map(|start| Query { svma: Svma(start.0.wrapping_add(1)), extent: None }).collect();
    let module = ModuleFile { path: PathBuf::from("/none"), elf: Ok(Arc::new(elf)) };
    let _ = Symbolizer::new(None).resolve(&module, &queries);
});
