//! Files that are stripped, damaged or no files at all.

use super::debug_files::Library;
use super::*;

#[test]
fn a_stripped_function_is_where_it_begins_and_not_its_neighbour() {
    let library = Library::new("stripped", &[]);
    let address = library.inside("hidden");
    library.tool("strip", &["libx.so"]);
    library.assert_named("exported_one");
    let module = module(&library.path("libx.so"));
    let start = Svma(address.0 - 1);
    let extent = Some(FunctionExtent { start, end: Svma(address.0 + 0x10) });
    let names = Symbolizer::new(None).resolve(&module, &[Query { svma: address, extent }]);
    assert_eq!(names.names[0][0].name.to_string(), format!("libx.so+{start}"));
    assert_eq!(names.sources.symbols, SymbolSource::ExportsOnly);
}

#[test]
fn a_file_without_section_headers_is_named_and_unwound_all_the_same() {
    for hash in ["-Wl,--hash-style=gnu", "-Wl,--hash-style=sysv"] {
        let library = Library::new("sections", &["-Wl,--build-id", hash]);
        let whole = open(&library.path("libx.so"));
        let (sections, id, symbol) = (whole.unwind_sections(), whole.build_id(), whole.symbol("exported_two"));
        let mut bytes = fs::read(library.path("libx.so")).unwrap();
        bytes[40..48].fill(0);
        bytes[60..64].fill(0);
        fs::write(library.path("libx.so"), bytes).unwrap();
        let bare = open(&library.path("libx.so"));
        assert!(bare.sections().is_empty());
        assert!(id.is_some() && symbol.is_some() && sections.eh_frame.is_some());
        assert_eq!(bare.build_id(), id);
        assert_eq!(bare.symbol("exported_two"), symbol);
        assert_eq!(bare.unwind_sections(), sections);
        library.assert_named("exported_one");
        library.assert_named("exported_two");
    }
}

#[test]
fn whatever_is_wrong_with_a_file_its_names_come_or_do_not() {
    let library = Library::new("hostile", &["-g", "-Wl,--build-id"]);
    let bytes = fs::read(library.path("libx.so")).unwrap();
    let address = library.inside("hidden");
    let use_all = |bytes: Vec<u8>| {
        let Ok(elf) = ElfFile::from_bytes(bytes) else { return };
        elf.unwind_sections();
        elf.symbol("exported_one");
        elf.load_bias(Addr(0x1000), FileOffset(0), true);
        let module = ModuleFile { path: PathBuf::from("/none/libx.so"), elf: Ok(Arc::new(elf)) };
        resolve(&Symbolizer::new(None), &module, &[address]);
    };
    for end in (0..bytes.len()).step_by(97) {
        use_all(bytes[..end].to_vec());
    }
    let header = 0..64 + 56 * 11;
    let section_headers = bytes.len() - 64 * 36..bytes.len();
    for at in header.chain(section_headers.step_by(3)).chain((0..bytes.len()).step_by(97)) {
        for value in [0, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            use_all(changed);
        }
    }
}

#[test]
fn files_that_are_not_for_this_profiler_say_what_they_are() {
    let library = Library::new("foreign", &[]);
    let bytes = fs::read(library.path("libx.so")).unwrap();
    let with = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        ElfFile::from_bytes(changed).unwrap_err()
    };
    assert_eq!(with(4, 1), ElfError::Class32);
    assert_eq!(with(18, 243), ElfError::ForeignMachine(243));
    assert_eq!(with(0, 0), ElfError::NotElf);
    assert_eq!(ElfFile::from_bytes(b"#!".to_vec()).unwrap_err(), ElfError::NotElf);
    let unreadable = ModuleFile { path: PathBuf::from("/lib/libx.so"), elf: Err(ElfError::NotElf) };
    let names = resolve(&Symbolizer::new(None), &unreadable, &[Svma(0x1234)]);
    assert_eq!(names.names[0][0].name.to_string(), "libx.so+0x1234");
}

#[test]
fn a_file_that_shrinks_while_it_is_open_is_an_error_and_no_more() {
    let library = Library::new("shrinks", &["-g"]);
    let path = library.path("libx.so");
    let module = module(&path);
    File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
    let names = resolve(&Symbolizer::new(None), &module, &[library.inside("hidden")]);
    assert_eq!(known(&names.names[0][0]), None);
}

// ---------------------------------------------------------------- the vDSO

#[test]
fn the_vdso_is_read_from_memory() {
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|l| l.ends_with("[vdso]")).expect("this kernel has a vDSO");
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
    let mut bytes = vec![0; (end - start) as usize];
    File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, start).unwrap();
    let vdso = ElfFile::from_bytes(bytes).unwrap();
    assert_eq!(vdso.load_bias(Addr(start), FileOffset(0), true), Some(start));
    let name = if cfg!(target_arch = "aarch64") { "__kernel_clock_gettime" } else { "__vdso_clock_gettime" };
    let (svma, size) = vdso.symbol(name).unwrap();
    assert!(vdso.is_code(svma));
    // AArch64's has none: its functions are left by their instructions.
    assert_eq!(vdso.unwind_sections().eh_frame.is_some(), cfg!(target_arch = "x86_64"));
    let module = ModuleFile { path: PathBuf::from("[vdso]"), elf: Ok(Arc::new(vdso)) };
    let names = resolve(&Symbolizer::new(None), &module, &[Svma(svma.0 + size - 1)]);
    assert_eq!(known(&names.names[0][0]), Some("clock_gettime").filter(|_| name.starts_with("__vdso")).or(Some(name)));
}

#[test]
fn the_root_of_a_process_gives_its_files() {
    let root = TargetRoot::of(Pid(std::process::id() as i32)).unwrap();
    let path = std::env::current_exe().unwrap();
    let module = module_in(&root, path.to_str().unwrap());
    assert_eq!(module.elf.unwrap().build_id(), open(&path).build_id());
}
