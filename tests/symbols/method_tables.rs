//! Names from tables of methods: in stripped copies of files, of which the symbols of the unstripped ones are the truth.

use super::*;

/// Where the functions of a file begin and end, with all of their names.
fn functions(file: &Path) -> BTreeMap<u64, (u64, Vec<String>)> {
    let mut functions: BTreeMap<u64, (u64, Vec<String>)> = BTreeMap::new();
    for line in run("nm", &["-S", "--defined-only", file.to_str().unwrap()], "").lines() {
        if let [start, size, "T" | "t" | "W", name] = line.split(' ').collect::<Vec<_>>()[..] {
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            let entry = functions.entry(number(start)).or_insert((number(start) + number(size), Vec::new()));
            entry.1.push(name.to_owned());
        }
    }
    functions
}

/// The names of a file's functions, by where they begin, from the tables of its stripped copy alone.
fn from_tables(file: &Path, functions: &BTreeMap<u64, (u64, Vec<String>)>) -> BTreeMap<u64, String> {
    let folder = tempfile();
    let stripped = folder.join(file.file_name().unwrap());
    run("strip", &["-s", "-o", stripped.to_str().unwrap(), file.to_str().unwrap()], "");
    let module = module(&stripped);
    fs::remove_dir_all(&folder).unwrap();
    let extent = |start: u64, end: u64| Some(FunctionExtent { start: Svma(start), end: Svma(end) });
    let queries: Vec<Query> = functions
        .iter()
        .map(|(start, (end, _))| Query { svma: Svma(start + (end - start) / 2), extent: extent(*start, *end) })
        .collect();
    let names = Symbolizer::new(None).resolve(&module, &queries).names;
    let in_table = |(query, symbols): (&Query, Vec<NativeSymbol>)| match &symbols.last()?.name {
        FunctionName::InMethodTable(name) => Some((query.extent?.start.0, name.clone())),
        FunctionName::Known(_) | FunctionName::Stub(_) | FunctionName::Unknown { .. } => None,
    };
    queries.iter().zip(names).filter_map(in_table).collect()
}

fn tempfile() -> PathBuf {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("fpprof-methods-{}-{number}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    folder
}

/// Whether a function of this name in C is likely to be that method: `zlib_compress` and `zlib.compress`, `unicode_join` and `str.join`.
fn fits(method: &str, symbol: &str) -> bool {
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    let last = method.rsplit('.').next().unwrap();
    plain(symbol).contains(&plain(last))
}

#[test]
fn stripped_modules_name_their_methods_as_their_symbols_did() {
    let files = [
        ("3.11.7", "libpython3.11.so.1.0", 600, &["builtins.print", "list.append", "sys._getframe"][..]),
        ("3.13.0", "libpython3.13.so.1.0", 600, &["builtins.print", "list.append", "dict.get", "posix.read"][..]),
        (
            "3.12.1",
            "python3.12/lib-dynload/zlib.cpython-312-x86_64-linux-gnu.so",
            6,
            &["zlib.compress", "zlib.crc32"][..],
        ),
        ("3.12.1", "python3.12/lib-dynload/_json.cpython-312-x86_64-linux-gnu.so", 1, &["_json.scanstring"][..]),
        (
            "3.12.1",
            "python3.12/lib-dynload/_datetime.cpython-312-x86_64-linux-gnu.so",
            40,
            &["datetime.datetime.now"][..],
        ),
    ];
    for (version, file, least, expected) in files {
        let path = home(&format!(".pyenv/versions/{version}/lib/{file}"));
        let functions = functions(&path);
        let named = from_tables(&path, &functions);
        let misfits: Vec<(&String, &Vec<String>)> = named
            .iter()
            .map(|(start, name)| (name, &functions[start].1))
            .filter(|(name, symbols)| !symbols.iter().any(|symbol| fits(name, symbol)))
            .collect();
        println!("{file}: {} named, {} misfits: {misfits:?}", named.len(), misfits.len());
        assert!(named.len() >= least, "{file}: {} of {}", named.len(), functions.len());
        assert!(misfits.len() * 20 <= named.len(), "{file}: {misfits:?}");
        for name in expected {
            assert!(named.values().any(|found| found == name), "{name} in {named:?}");
        }
    }
}
