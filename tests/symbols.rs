//! Names of native addresses, compared with what binutils say about the same files.

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
use fpprof::target::elf::{ElfError, ElfFile};
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
        FunctionName::Unknown { .. } => None,
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
    assert_eq!(known(symbol), Some("symbols::outer::named_function"));
    assert_eq!(symbol.file.as_deref().and_then(file_name).as_deref(), Some("symbols.rs"));
    let text = fs::read_to_string(file!()).unwrap();
    let line = text.lines().position(|l| l.contains("pub fn named_function")).unwrap() as u32 + 1;
    assert_eq!(symbol.line, Some(line));
}

// ---------------------------------------------------------------- C: the same library in all its wrappings

const SOURCE: &str = r#"
volatile int sink;
static inline __attribute__((always_inline)) void inlined(int x) {
    sink = x;
}
static __attribute__((noinline, used)) void hidden(int x) {
    inlined(x + 1);
    sink = x;
}
void exported_one(int x) {
    hidden(x);
    sink = x;
}
void exported_two(int x) {
    hidden(x);
}
"#;

/// A directory with the library, removed afterwards. It is also a root: `/lib/libx.so` is the library.
struct Library {
    root: PathBuf,
}

impl Library {
    fn new(name: &str, flags: &[&str]) -> Library {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("symbols-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("lib")).unwrap();
        let library = Library { root };
        let source = library.path("libx.c");
        fs::write(&source, SOURCE).unwrap();
        let mut arguments = vec!["-O2", "-shared", "-fPIC", "-o"];
        let output = library.path("libx.so");
        arguments.extend([output.to_str().unwrap(), source.to_str().unwrap()]);
        arguments.extend(flags);
        run("gcc", &arguments, "");
        fs::copy(&output, library.path("original")).unwrap();
        library
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join("lib").join(name)
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).current_dir(self.root.join("lib")).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The second byte of a function: an address inside it, by the unstripped file.
    fn inside(&self, function: &str) -> Svma {
        let text = self.tool("nm", &["original"]);
        let line = text.lines().find(|l| l.ends_with(&format!(" {function}"))).unwrap();
        Svma(u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap() + 1)
    }

    fn resolve(&self, function: &str) -> (Vec<NativeSymbol>, ModuleNames) {
        let root = || TargetRoot::at(&self.root).unwrap();
        let names =
            resolve(&Symbolizer::new(Arc::new(root())), &module_in(&root(), "/lib/libx.so"), &[self.inside(function)]);
        (names.names[0].clone(), names)
    }

    fn assert_named(&self, function: &str) {
        assert_eq!(self.resolve(function).0.last().and_then(known), Some(function));
    }

    fn assert_lines(&self) {
        let (symbols, names) = self.resolve("hidden");
        assert_eq!(symbols.iter().map(known).collect::<Vec<_>>().last(), Some(&Some("hidden")));
        assert!(symbols.iter().all(|s| s.file.as_deref().is_some_and(|f| f.ends_with("libx.c"))), "{symbols:?}");
        assert!(names.sources.lines.is_ok());
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn a_stripped_file_finds_its_debug_file_by_the_link() {
    for directory in ["lib", "lib/.debug", "usr/lib/debug/lib"] {
        let library = Library::new("link", &["-g", "-Wl,--build-id=none"]);
        library.tool("objcopy", &["--only-keep-debug", "libx.so", "libx.debug"]);
        library.tool("strip", &["libx.so"]);
        library.tool("objcopy", &["--add-gnu-debuglink=libx.debug", "libx.so"]);
        fs::create_dir_all(library.root.join(directory)).unwrap();
        fs::rename(library.path("libx.debug"), library.root.join(directory).join("libx.debug")).unwrap();
        library.assert_lines();
        // Another build's debug file would give wrong names.
        let mut changed = fs::read(library.root.join(directory).join("libx.debug")).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(library.root.join(directory).join("libx.debug"), changed).unwrap();
        let (symbols, names) = library.resolve("hidden");
        assert_eq!(known(&symbols[0]), None);
        assert!(matches!(names.sources.lines, Err(NoLines::DebugFile(NoDebugFile::Mismatch(_)))));
    }
}

#[test]
fn a_stripped_file_finds_its_debug_file_by_the_build_id() {
    let library = Library::new("build-id", &["-g", "-gz", "-Wl,--build-id"]);
    let id = open(&library.path("libx.so")).build_id().unwrap();
    library.tool("objcopy", &["--only-keep-debug", "libx.so", "libx.debug"]);
    library.tool("strip", &["libx.so"]);
    let (symbols, names) = library.resolve("hidden");
    assert_eq!(known(&symbols[0]), None);
    let missing = NoDebugFile::Missing { build_id: Some(id.clone()), debug_link: None };
    assert_eq!(names.sources.lines, Err(NoLines::DebugFile(missing)));
    let place = library.root.join("usr/lib/debug").join(id.debug_path());
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::rename(library.path("libx.debug"), &place).unwrap();
    library.assert_lines();
}

#[test]
fn mini_debug_info_names_functions_that_are_not_exported() {
    let library = Library::new("mini", &[]);
    library.tool("objcopy", &["--only-keep-debug", "libx.so", "mini"]);
    library.tool("xz", &["mini"]);
    library.tool("strip", &["libx.so"]);
    library.tool("objcopy", &["--add-section", ".gnu_debugdata=mini.xz", "libx.so"]);
    let (symbols, names) = library.resolve("hidden");
    assert_eq!(known(&symbols[0]), Some("hidden"));
    assert_eq!(names.sources.symbols, SymbolSource::MiniDebugInfo);
    library.assert_named("exported_one");
}

/// DWARF of one function whose name is in the shared file, at offset 1 of its strings (`DW_FORM_GNU_strp_alt`).
const SHARING: &str = r#"
    .text
    .globl exported_one
    .type exported_one, @function
exported_one:
    .skip 16, 0x90
    .size exported_one, 16
    .section .debug_abbrev, "", @progbits
    .uleb128 1, 0x11            # a unit, with children
    .byte 1
    .uleb128 0x11, 0x01, 0x12, 0x07, 0, 0
    .uleb128 2, 0x2e            # a function
    .byte 0
    .uleb128 0x03, 0x1f21, 0x11, 0x01, 0x12, 0x07, 0, 0
    .byte 0
    .section .debug_info, "", @progbits
    .long 2f - 1f
1:  .short 4
    .long 0
    .byte 8
    .uleb128 1
    .quad exported_one, 16
    .uleb128 2
    .long 1
    .quad exported_one, 16
    .byte 0
2:
"#;

#[test]
fn names_that_dwz_moved_into_a_shared_file_are_found() {
    for shared_place in ["lib/shared.debug", "by the build-id"] {
        let library = Library::new("dwz", &[]);
        fs::write(library.path("sharing.s"), SHARING).unwrap();
        fs::write(library.path("shared.s"), ".section .debug_str, \"\", @progbits\n.byte 0\n.string \"shared_name\"\n")
            .unwrap();
        for (source, output) in [("sharing.s", "libx.so"), ("shared.s", "shared.debug")] {
            library.tool("gcc", &["-shared", "-nostdlib", "-Wl,--build-id", "-o", output, source]);
        }
        fs::copy(library.path("libx.so"), library.path("original")).unwrap();
        let id = open(&library.path("shared.debug")).build_id().unwrap();
        let hex = id.to_string();
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        fs::write(library.path("link"), b"shared.debug\0".iter().copied().chain(bytes).collect::<Vec<u8>>()).unwrap();
        library.tool("objcopy", &["--add-section", ".gnu_debugaltlink=link", "libx.so"]);
        if shared_place == "by the build-id" {
            let place = library.root.join("usr/lib/debug").join(id.debug_path());
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::rename(library.path("shared.debug"), place).unwrap();
        }
        let (symbols, _) = library.resolve("exported_one");
        assert_eq!(symbols.last().and_then(known), Some("shared_name"), "{shared_place}");
    }
}

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
