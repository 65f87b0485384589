//! Interpreters, with symbols and stripped: names are those of addr2line.

use super::*;

#[test]
fn libpython_is_named_as_addr2line_names_it() {
    for (version, library) in [("3.11.7", "3.11"), ("3.12.1", "3.12"), ("3.13.0", "3.13")] {
        let path = home(&format!(".pyenv/versions/{version}/lib/libpython{library}.so.1.0"));
        let module = module(&path);
        let addresses = in_functions(&path, addresses(module.elf.as_ref().unwrap(), 3000));
        assert!(addresses.len() > 2500);
        let names = resolve(&Symbolizer::new(None), &module, &addresses);
        assert_eq!(names.sources.symbols, SymbolSource::Own);
        assert_eq!(names.sources.lines, Ok(None));
        compare_with_addr2line(&names, &path, &addresses);
    }
}

#[test]
fn a_stripped_interpreter_is_named_by_its_debug_file_in_the_targets_root() {
    let module = module_in(&sid(), "/usr/bin/python3.15");
    let elf = module.elf.clone().unwrap();
    let symbolizer = Symbolizer::new(Arc::new(sid()));
    let sources = resolve(&symbolizer, &module, &[]).sources;
    let source = sources.lines.unwrap().expect("not from the stripped file");
    assert!(source.in_target);
    assert_eq!(sources.symbols, SymbolSource::DebugFile(source.clone()));
    assert!(source.path.ends_with(elf.build_id().unwrap().debug_path()));
    let debug_file = home(".cache/fpprof/sid").join(source.path.strip_prefix("/").unwrap());
    let addresses = in_functions(&debug_file, addresses(&elf, 3000));
    assert!(addresses.len() > 2500);
    compare_with_addr2line(&resolve(&symbolizer, &module, &addresses), &debug_file, &addresses);
}

#[test]
fn where_names_would_come_from_is_where_they_come_from() {
    let root = Arc::new(sid());
    let symbolizer = Symbolizer::new(Arc::clone(&root));
    let stripped = ["/usr/bin/python3.13", "/usr/bin/python3.15", "/usr/bin/true"].map(|path| module_in(&root, path));
    let own = module(&home(".pyenv/versions/3.13.0/lib/libpython3.13.so.1.0"));
    let foreign = ModuleFile { path: PathBuf::from("/lib/libx.so"), elf: Err(ElfError::NotElf) };
    for module in stripped.iter().chain([&own, &foreign]) {
        assert_eq!(symbolizer.sources(module), resolve(&symbolizer, module, &[]).sources, "{}", module.path.display());
    }
}

#[test]
fn without_lines_functions_have_the_names_of_their_symbols() {
    let module = module_in(&sid(), "/usr/bin/python3.15");
    let [with, without] = [Symbolizer::new(Arc::new(sid())), Symbolizer::new(Arc::new(sid())).without_lines()];
    let addresses = addresses(module.elf.as_ref().unwrap(), 300);
    let (lines, names) = (resolve(&with, &module, &addresses).names, resolve(&without, &module, &addresses));
    assert_eq!(names.sources.lines, Err(NoLines::NotWanted));
    let mut same = 0;
    for (lined, named) in lines.iter().zip(&names.names) {
        assert!(named.len() == 1 && named[0].line.is_none() && named[0].file.is_none(), "{named:?}");
        same += usize::from(lined.last().and_then(known) == known(&named[0]));
    }
    // Identical functions that the linker has made one have several symbols.
    assert!(same > 290, "{same} of 300");
}

#[test]
fn the_cold_part_of_the_bytecode_loop_has_the_loops_name() {
    let root = sid();
    let module = module_in(&root, "/usr/bin/python3.15");
    let symbolizer = Symbolizer::new(Arc::new(sid()));
    let source = resolve(&symbolizer, &module, &[]).sources.lines.unwrap().unwrap();
    let debug_file = ElfFile::open(root.open(&source.path).unwrap()).unwrap();
    let (start, size) = debug_file.symbol("_PyEval_EvalFrameDefault.cold").expect("the loop is split");
    for svma in [start, Svma(start.0 + size / 2), Svma(start.0 + size - 1)] {
        let names = resolve(&symbolizer, &module, &[svma]);
        assert_eq!(names.names[0].last().and_then(known), Some("_PyEval_EvalFrameDefault"));
    }
}

// ---------------------------------------------------------------- exported symbols against nm

#[test]
fn a_symbol_is_found_by_its_name_as_in_the_whole_table() {
    let elf = open(&home(".pyenv/versions/3.13.0/lib/libpython3.13.so.1.0"));
    let tables =
        [SymbolTableKind::Dynamic, SymbolTableKind::Static].map(|kind| elf.symbol_table(kind).expect("it has one"));
    let defined = || tables.iter().flat_map(SymbolTable::iter).filter(ElfSymbol::is_defined);
    let mut compared = 0;
    for symbol in defined().step_by(199).filter(|symbol| !symbol.name().is_empty()) {
        let name = std::str::from_utf8(symbol.name()).expect("C names");
        let first = defined().find(|other| other.name() == symbol.name()).map(|other| (other.svma, other.size));
        assert_eq!(elf.symbol(name), first, "{name}");
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
    // The end of a name, and a name that goes on.
    assert_eq!((elf.symbol("yRuntime"), elf.symbol("_PyRuntime_")), (None, None));
}
