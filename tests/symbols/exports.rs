//! What exports and mangled names tell: names are those of nm, c++filt and rustc.

use super::*;

/// Start -> (end, names) of the functions that a file exports.
fn exported(file: &Path, demangle: bool) -> BTreeMap<u64, (u64, Vec<String>)> {
    let mut text = run("nm", &["-DS", "--defined-only", file.to_str().unwrap()], "");
    if demangle {
        text = run("c++filt", &["-p"], &text);
    }
    let mut functions: BTreeMap<u64, (u64, Vec<String>)> = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.splitn(4, ' ');
        let number = |s: Option<&str>| u64::from_str_radix(s?, 16).ok();
        let (Some(start), Some(size)) = (number(fields.next()), number(fields.next())) else { continue };
        let kind = fields.next().unwrap();
        if matches!(kind, "T" | "t" | "W" | "w" | "i") {
            let name = fields.next().unwrap().split('@').next().unwrap().replace(' ', "");
            let entry = functions.entry(start).or_insert((start + size, Vec::new()));
            entry.0 = entry.0.max(start + size);
            entry.1.push(name);
        }
    }
    functions
}

#[test]
fn a_stripped_libc_names_what_it_exports_and_nothing_else() {
    let path = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let module = module_in(&sid(), path);
    let truth = exported(&home(".cache/fpprof/sid").join(path.trim_start_matches('/')), false);
    let addresses = addresses(module.elf.as_ref().unwrap(), 4000);
    let names = resolve(&Symbolizer::new(Arc::new(sid())), &module, &addresses);
    assert_eq!(names.sources.symbols, SymbolSource::ExportsOnly);
    let id = module.elf.as_ref().unwrap().build_id();
    match &names.sources.lines {
        Err(NoLines::DebugFile(NoDebugFile::Missing { build_id, .. })) => assert_eq!(*build_id, id),
        other => panic!("{other:?}"),
    }
    let mut nameless = 0;
    for (address, symbols) in addresses.iter().zip(&names.names) {
        let covering: Vec<&String> = truth
            .range(..=address.0)
            .rev()
            .take(20)
            .filter(|(_, (end, _))| address.0 < *end)
            .flat_map(|(_, (_, names))| names)
            .collect();
        match &symbols[0].name {
            FunctionName::Known(name) => assert!(covering.contains(&name), "{address}: {name} of {covering:?}"),
            FunctionName::InMethodTable(name) => panic!("{name} is in no table: this is no module of Python"),
            FunctionName::Stub(name) => panic!("{address}: {name} is outside of `.text`"),
            FunctionName::Unknown { module, start, reason } => {
                nameless += 1;
                assert!(covering.is_empty(), "{address} is in {covering:?}");
                assert_eq!((module.as_str(), *start, reason), ("libc.so.6", *address, &NoName::Stripped));
            }
        }
    }
    assert!(nameless > 1000, "most of libc is not exported: {nameless}");
}

/// The standard's typedefs by their short names, as the mangled names have them, and thunks as the function that they
/// lead to.
fn with_short_names(name: &str) -> String {
    let function = name.split_once("thunkto").map_or(name, |(_, function)| function.trim_end_matches("()"));
    let mut name =
        function.replace("std::basic_string<char,std::char_traits<char>,std::allocator<char>>", "std::string");
    for typedef in ["ostream", "istream", "iostream"] {
        name = name.replace(&format!("std::basic_{typedef}<char,std::char_traits<char>>"), &format!("std::{typedef}"));
    }
    for typedef in ["string", "ostream", "istream", "iostream"] {
        for special in ["", "~"] {
            let (long, short) =
                (format!("{typedef}::{special}basic_{typedef}"), format!("{typedef}::{special}{typedef}"));
            name = name.replace(&format!("std::{long}"), &format!("std::{short}"));
        }
    }
    name
}

#[test]
fn libstdcpp_names_are_those_of_cppfilt() {
    let path = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6";
    let module = module_in(&sid(), path);
    let mut truth = exported(&home(".cache/fpprof/sid").join(path.trim_start_matches('/')), true);
    // c++filt cannot leave out the parameters of transaction clones.
    truth.retain(|_, (_, names)| !names.iter().any(|name| name.starts_with("transactionclone")));
    let addresses: Vec<Svma> = truth.keys().map(|start| Svma(*start)).collect();
    let names = resolve(&Symbolizer::new(Arc::new(sid())), &module, &addresses);
    let mut different = Vec::new();
    for (symbols, (address, (_, truth))) in names.names.iter().zip(&truth) {
        let ours = symbols[0].name.to_string().replace(' ', "");
        if !truth.iter().any(|name| with_short_names(name) == with_short_names(&ours)) {
            different.push(format!("{address:#x}: {ours} of {truth:?}"));
        }
    }
    assert!(truth.len() > 2000);
    assert!(different.len() * 100 < truth.len(), "{} of {}:\n{}", different.len(), truth.len(), different.join("\n"));
}

// ---------------------------------------------------------------- Rust: this test's own program

/// Where this program's own file is loaded, by the mapping that the address is in.
fn own_svma(elf: &ElfFile, address: usize) -> Svma {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mapping = maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let executable = fields.next()?.contains('x');
        let offset = u64::from_str_radix(fields.next()?, 16).ok()?;
        (start..end).contains(&(address as u64)).then_some((start, offset, executable))
    });
    let (start, offset, executable) = mapping.unwrap();
    let bias = elf.load_bias(Addr(start), FileOffset(offset), executable).unwrap();
    Svma((address as u64).wrapping_sub(bias))
}

mod outer {
    #[inline(never)]
    pub fn named_function(x: u32) -> u32 {
        std::hint::black_box(x) + 1
    }
}

#[test]
fn a_rust_function_has_its_path_without_a_hash_and_its_line() {
    let path = std::env::current_exe().unwrap();
    let module = module(&path);
    let function: fn(u32) -> u32 = outer::named_function;
    assert_eq!(std::hint::black_box(function)(1), 2);
    let svma = own_svma(module.elf.as_ref().unwrap(), function as usize);
    let names = resolve(&Symbolizer::new(None), &module, &[svma]);
    let symbol = names.names[0].last().unwrap();
    assert_eq!(known(symbol), Some("symbols::exports::outer::named_function"));
    assert_eq!(symbol.file.as_deref().and_then(file_name).as_deref(), Some("exports.rs"));
    let text = fs::read_to_string(file!()).unwrap();
    let line = text.lines().position(|l| l.contains("pub fn named_function")).unwrap() as u32 + 1;
    assert_eq!(symbol.line, Some(line));
}
