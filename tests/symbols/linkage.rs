//! The stubs of calls into other files: what linkers really write, held against objdump.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fpprof::symbolize::FunctionName;

use super::*;

/// Calls of functions of other files, one of which is also used as data.
const SOURCE: &str = "
extern int alpha(void), beta(void), gamma_(void);
int (*pointer)(void);
int f(void) { pointer = gamma_; return alpha() + beta() + gamma_(); }
";

/// A folder that is gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("fpprof-linkage-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// The library, linked so.
    fn library(&self, flags: &[&str]) -> PathBuf {
        let (source, library) =
            (self.0.join("a.c"), self.0.join(format!("lib{}.so", flags.join("")).replace(['/', ','], "_")));
        fs::write(&source, SOURCE).unwrap();
        let (source, output) = (source.to_str().unwrap(), library.to_str().unwrap());
        run("gcc", &[&["-shared", "-fPIC", "-O1", "-o", output, source], flags].concat(), "");
        library
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The instructions in stubs, by address, and the name of the stub as objdump shows it: `write@plt`.
fn stubs(file: &Path) -> BTreeMap<u64, String> {
    let program = std::env::var("OBJDUMP").unwrap_or_else(|_| "objdump".to_owned());
    let text = run(&program, &["-d", "--no-show-raw-insn", file.to_str().unwrap()], "");
    let mut name = None;
    let mut stubs = BTreeMap::new();
    for line in text.lines() {
        if let Some(label) = line.strip_suffix(">:") {
            // The table's first entry is `write@plt-0x10`. mold has symbols: `write$plt`.
            let label = label.split_once('<').map_or("", |(_, label)| label);
            let function = ["@plt", "$plt", "$pltgot"].iter().find_map(|end| label.strip_suffix(end));
            name = function.map(|function| format!("{function}@plt"));
        } else if let Some((address, _)) = line.split_once(':')
            && let Some(name) = &name
            && let Ok(address) = u64::from_str_radix(address.trim(), 16)
        {
            stubs.insert(address, name.clone());
        }
    }
    stubs
}

/// How many of objdump's stubs have their names; none has another.
fn compare(file: &Path, with_sections: &Path) -> usize {
    let expected = stubs(with_sections);
    let addresses: Vec<Svma> = expected.keys().map(|address| Svma(*address)).collect();
    let names = resolve(&Symbolizer::new(None).without_lines(), &module(file), &addresses);
    let mut found = 0;
    for ((address, expected), symbols) in expected.iter().zip(&names.names) {
        let function = expected.strip_suffix("@plt").unwrap();
        // One that is chosen when it is loaded has the address of what chooses it.
        let is_chosen_later = function.starts_with("*ABS*+0x");
        match &symbols[0].name {
            FunctionName::Stub(name) if !is_chosen_later => {
                assert_eq!(*name, format!("{}@plt", fpprof::symbolize::display_name(function)), "{address:#x}");
                found += 1;
            }
            FunctionName::Stub(_) => {}
            other => assert!(is_chosen_later, "{address:#x} {expected}: {other:?}"),
        }
    }
    found
}

/// A copy of the file without section headers.
fn without_sections(file: &Path) -> PathBuf {
    let mut bytes = fs::read(file).unwrap();
    bytes[40..48].fill(0);
    bytes[60..64].fill(0);
    let copy = file.with_extension("bare");
    fs::write(&copy, bytes).unwrap();
    copy
}

#[test]
fn stubs_have_the_names_that_objdump_shows() {
    let folder = Folder::new("names");
    for flags in [&["-Wl,-z,lazy"][..], &["-Wl,-z,now"], &["-fuse-ld=gold"], &["-Wl,-z,lazy", "-s"]] {
        let library = folder.library(flags);
        assert!(compare(&library, &library) >= 3, "{flags:?}: {:?}", stubs(&library));
        // What is used as data, too, has a slot of the other kind.
        assert!(stubs_without_sections(&library) >= 2, "{flags:?}");
    }
    #[cfg(target_arch = "x86_64")]
    {
        let library = folder.library(&["-Wl,-z,lazy,-z,ibtplt"]);
        assert!(compare(&library, &library) >= 3, "{:?}", stubs(&library));
        assert!(stubs_without_sections(&library) >= 2);
    }
}

/// How many of the same stubs have their names without section headers; none has another.
fn stubs_without_sections(library: &Path) -> usize {
    let (expected, bare) = (stubs(library), without_sections(library));
    let addresses: Vec<Svma> = expected.keys().map(|address| Svma(*address)).collect();
    let names = resolve(&Symbolizer::new(None).without_lines(), &module(&bare), &addresses);
    let named = expected.values().zip(&names.names).filter_map(|(expected, symbols)| match &symbols[0].name {
        FunctionName::Stub(name) => Some((expected, name)),
        _ => None,
    });
    let mut distinct: Vec<&String> =
        named.inspect(|(expected, name)| assert_eq!(expected, name)).map(|(_, n)| n).collect();
    distinct.dedup();
    distinct.len()
}

#[test]
fn an_interpreters_stubs_have_the_names_that_objdump_shows() {
    let library = home(".pyenv/versions/3.13.0/lib/libpython3.13.so.1.0");
    assert!(compare(&library, &library) > 300);
}

#[test]
fn the_files_that_the_environment_names_have_the_names_that_objdump_shows() {
    for path in std::env::var("LINKAGE_TEST_FILES").unwrap_or_default().split(':').filter(|p| !p.is_empty()) {
        println!("{path}: {} instructions in stubs", compare(Path::new(path), Path::new(path)));
    }
}
