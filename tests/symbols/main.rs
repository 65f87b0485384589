//! Names of native addresses, compared with what binutils say about the same files.
mod debug_files;
mod exports;
mod interpreters;
mod linkage;
mod method_tables;
mod odd_files;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use fpprof::symbolize::{
    FunctionExtent, FunctionName, ModuleFile, ModuleNames, NativeSymbol, NoDebugFile, NoLines, NoName, Query,
    SymbolSource, Symbolizer,
};
use fpprof::target::elf::{ElfError, ElfFile, ElfSymbol, SymbolTable, SymbolTableKind};
use fpprof::target::root::TargetRoot;
use fpprof::types::{Addr, FileOffset, Pid, Svma};

// ---------------------------------------------------------------- what the tests stand on

fn home(path: &str) -> PathBuf {
    let path = PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(path);
    assert!(path.exists(), "{} is missing: run tests/setup", path.display());
    path
}

/// The root that `tests/setup` has made, where it says that it is.
fn sid() -> TargetRoot {
    let cache = || std::env::var_os("XDG_CACHE_HOME").map(|cache| PathBuf::from(cache).join("fpprof"));
    let roots = std::env::var_os("FPPROF_TEST_ROOTS").map(PathBuf::from).or_else(cache);
    let root = roots.unwrap_or_else(|| home(".cache/fpprof")).join("sid");
    TargetRoot::at(&root).unwrap_or_else(|error| panic!("{}: {error}: run tests/setup", root.display()))
}

fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn open(path: &Path) -> ElfFile {
    ElfFile::open(File::open(path).unwrap()).unwrap()
}

fn module(path: &Path) -> ModuleFile {
    ModuleFile { path: path.to_owned(), elf: Ok(Arc::new(open(path))) }
}

fn module_in(root: &TargetRoot, path: &str) -> ModuleFile {
    let file = root.open(Path::new(path)).unwrap_or_else(|e| panic!("{path}: {e}: run tests/setup"));
    ModuleFile { path: PathBuf::from(path), elf: Ok(Arc::new(ElfFile::open(file).unwrap())) }
}

/// Addresses spread over a module's code, the same in every run.
fn addresses(elf: &ElfFile, count: usize) -> Vec<Svma> {
    let text = elf.section(".text").unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Svma(text.svma.0 + state % text.size)
    };
    (0..count).map(|_| next()).collect()
}

fn resolve(symbolizer: &Symbolizer, module: &ModuleFile, addresses: &[Svma]) -> ModuleNames {
    let queries: Vec<Query> = addresses.iter().map(|svma| Query { svma: *svma, extent: None }).collect();
    let names = symbolizer.resolve(module, &queries);
    assert_eq!(names.names.len(), addresses.len());
    names
}

fn known(symbol: &NativeSymbol) -> Option<&str> {
    match &symbol.name {
        FunctionName::Known(name) => Some(name),
        FunctionName::InMethodTable(_) | FunctionName::Stub(_) | FunctionName::Unknown { .. } => None,
    }
}

// ---------------------------------------------------------------- DWARF against addr2line

/// One function at an address: name, file name, line.
type Named = (Option<String>, Option<String>, Option<u32>);

fn file_name(path: &str) -> Option<String> {
    Path::new(path).file_name().map(|n| n.to_string_lossy().into_owned())
}

/// What `addr2line` says; per address, innermost first.
fn addr2line(file: &Path, addresses: &[Svma]) -> Vec<Vec<Named>> {
    let input: String = addresses.iter().map(|a| format!("{a}\n")).collect();
    let output = run("addr2line", &["-iafC", "-e", file.to_str().unwrap()], &input);
    let mut all: Vec<Vec<Named>> = Vec::new();
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            all.push(Vec::new());
            continue;
        }
        let name = (line != "??").then(|| line.split('(').next().unwrap().to_owned());
        let location = lines.next().unwrap();
        let (path, number) = location.split(" (disc").next().unwrap().rsplit_once(':').unwrap();
        let file = (path != "??").then(|| file_name(path)).flatten();
        all.last_mut().unwrap().push((name, file, number.parse().ok().filter(|n| *n != 0)));
    }
    assert_eq!(all.len(), addresses.len());
    all
}

fn named(symbols: &[NativeSymbol]) -> Vec<Named> {
    let one = |s: &NativeSymbol| (known(s).map(str::to_owned), s.file.as_deref().and_then(file_name), s.line);
    symbols.iter().map(one).collect()
}

/// Those of the addresses that are in a function by the file's own symbols. Between functions there is padding, which
/// addr2line gives to the function before it.
fn in_functions(file: &Path, addresses: Vec<Svma>) -> Vec<Svma> {
    let mut functions = BTreeMap::new();
    for line in run("nm", &["-S", "--defined-only", file.to_str().unwrap()], "").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if let [start, size, "T" | "t" | "W", _] = fields[..] {
            let number = |s| u64::from_str_radix(s, 16).unwrap();
            functions.insert(number(start), number(start) + number(size));
        }
    }
    let covered = |a: &Svma| functions.range(..=a.0).next_back().is_some_and(|(_, end)| a.0 < *end);
    addresses.into_iter().filter(covered).collect()
}

/// Drops what gcc appends to the names of parts and copies of functions.
fn plain(name: &str) -> String {
    let suffixes = [".constprop.", ".isra.", ".part.", ".lto_priv.", ".cold"];
    let end = suffixes.iter().filter_map(|s| name.find(s)).min().unwrap_or(name.len());
    name[..end].to_owned()
}

/// Asserts that the functions, inlined ones too, and their lines are addr2line's; and their files in nearly all cases:
/// binutils gives the main file of the unit, or `<artificial>`, to lines of some included files. gdb does not.
fn compare_with_addr2line(names: &ModuleNames, file: &Path, addresses: &[Svma]) {
    let truth = addr2line(file, addresses);
    let (mut different, mut other_files) = (Vec::new(), 0);
    for ((ours, theirs), address) in names.names.iter().zip(&truth).zip(addresses) {
        let ours = named(ours);
        let theirs: Vec<Named> =
            theirs.iter().map(|(name, file, line)| (name.as_deref().map(plain), file.clone(), *line)).collect();
        let without_file =
            |all: &[Named]| -> Vec<_> { all.iter().map(|(name, _, line)| (name.clone(), *line)).collect() };
        if without_file(&ours) != without_file(&theirs) {
            different.push(format!("{address}\n  ours      {ours:?}\n  addr2line {theirs:?}"));
        } else if ours != theirs {
            other_files += 1;
        }
    }
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), addresses.len(), different.join("\n"));
    assert!(other_files * 50 < addresses.len(), "{other_files} files of {}", addresses.len());
    let inlined = truth.iter().filter(|t| t.len() > 1).count();
    assert!(inlined * 10 > addresses.len(), "inlined functions are part of the comparison");
}
