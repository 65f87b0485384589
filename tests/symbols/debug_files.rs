//! Separate debug files, packed ones and shared ones: a small library is taken apart in each way.

use super::*;

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
pub struct Library {
    pub root: PathBuf,
}

impl Library {
    pub fn new(name: &str, flags: &[&str]) -> Library {
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join("lib").join(name)
    }

    pub fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).current_dir(self.root.join("lib")).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The second byte of a function: an address inside it, by the unstripped file.
    pub fn inside(&self, function: &str) -> Svma {
        let text = self.tool("nm", &["original"]);
        let line = text.lines().find(|l| l.ends_with(&format!(" {function}"))).unwrap();
        Svma(u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap() + 1)
    }

    pub fn resolve(&self, function: &str) -> (Vec<NativeSymbol>, ModuleNames) {
        let root = || TargetRoot::at(&self.root).unwrap();
        let names =
            resolve(&Symbolizer::new(Arc::new(root())), &module_in(&root(), "/lib/libx.so"), &[self.inside(function)]);
        (names.names[0].clone(), names)
    }

    pub fn assert_named(&self, function: &str) {
        assert_eq!(self.resolve(function).0.last().and_then(known), Some(function));
    }

    pub fn assert_lines(&self) {
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
