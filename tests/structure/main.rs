//! The rules of docs/architecture.md that a compiler does not check, checked on the text of `src`.
//!
//! Does: hold every source file against the rules. Does not: know the rules' details (`rules`) or Rust's lexical
//! structure (`source`).

mod cycles;
mod rules;
mod scripts;
mod source;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// The most lines of a file of tests.
const LONGEST_TEST: usize = 400;

/// The folders that hold the project's shell scripts.
const SCRIPTS: [&str; 6] = [".ci", "docs/gallery", "examples", "findings", "release", "tests"];

/// Every source file of the library and the binary, named relative to `src`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |path: &Path| path.strip_prefix(&root).expect("it is below src").to_string_lossy().into_owned();
    let read = |path: &PathBuf| fs::read_to_string(path).expect("it is UTF-8");
    rust_files(&root).iter().map(|path| Source::new(&name(path), &read(path))).collect()
}

/// The Rust files in a folder and in those inside it.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files(folder).into_iter().filter(is_rust).collect()
}

/// All files in a folder and in those inside it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn the_sources_keep_the_rules() {
    let sources = sources();
    assert!(sources.len() > 5, "the sources were not found");
    let broken: Vec<String> = sources.iter().flat_map(rules::broken).collect();
    assert!(broken.is_empty(), "{} broken rules:\n{}", broken.len(), broken.join("\n"));
}

/// The trait of an architecture and its implementations know each other, and so does what is between them.
const CIRCLE: &str = "unwind/architecture.rs";

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = cycles::cycles(&sources());
    let (allowed, others): (Vec<_>, Vec<_>) =
        circles.iter().partition(|circle| circle.iter().any(|name| name == CIRCLE));
    assert!(others.is_empty(), "files that import each other: {others:#?}");
    let is_of_it = |name: &&String| name.starts_with("unwind/");
    assert!(allowed.iter().copied().flatten().all(|name| is_of_it(&name)), "{allowed:#?}");
    assert_eq!(allowed.len(), 1, "there is no circle around {CIRCLE} any more: take it out of here");
}

#[test]
fn what_is_allowed_is_used() {
    let unused = rules::unused_allowances(&sources());
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

#[test]
fn words_are_not_read_back() {
    let (allowed, others): (Vec<_>, Vec<_>) = sources()
        .iter()
        .map(|source| (source.name.clone(), words::words(source)))
        .filter(|(_, words)| !words.is_empty())
        .partition(|(name, _)| words::WORDS.contains(&name.as_str()));
    assert!(others.is_empty(), "words for run states, which are values everywhere else: {others:#?}");
    assert_eq!(allowed.len(), words::WORDS.len(), "allowed in {:?}, and not in all of them", words::WORDS);
}

/// The folders of the architectures, and the files of each that do what the other has no need of.
const ARCHITECTURES: [(&str, &[&str]); 2] =
    [("unwind/x86_64/", &["call_site.rs", "leaf.rs"]), ("unwind/aarch64/", &["signal.rs"])];

#[test]
fn the_same_job_has_the_same_file_name_in_each_architecture() {
    let sources = sources();
    let [first, second] = ARCHITECTURES.map(|(folder, own)| {
        let names = sources.iter().filter_map(|source| source.name.strip_prefix(folder));
        let files: BTreeSet<&str> = names.filter(|name| !name.contains("tests.rs")).collect();
        assert!(own.iter().all(|name| files.contains(name)), "{folder} has no longer all of {own:?}");
        files.into_iter().filter(|name| !own.contains(name)).collect::<Vec<&str>>()
    });
    assert!(first.len() > 5, "the files were not found");
    assert_eq!(first, second);
}

/// Files of tests are read as often as others. Programs that are sampled, and what tests share, count as well.
#[test]
fn files_of_tests_are_short() {
    let long: Vec<String> = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
        .iter()
        .map(|path| (path, fs::read_to_string(path).expect("it is UTF-8").lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_TEST)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_TEST} lines:\n{}", long.join("\n"));
}

/// A script that fails when its reader is quicker than its writer fails now and then.
#[test]
fn no_script_fails_by_a_reader_that_stops_early() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts: Vec<(PathBuf, String)> = SCRIPTS
        .iter()
        .flat_map(|folder| files(&root.join(folder)))
        .filter_map(|path| Some((fs::read_to_string(&path).ok()?, path)))
        .filter(|(text, path)| {
            text.starts_with("#!/usr/bin/env bash") || path.extension().is_some_and(|end| end == "sh")
        })
        .map(|(text, path)| (path, text))
        .collect();
    assert!(scripts.len() > 20, "the scripts were not found");
    let found: Vec<String> = scripts
        .iter()
        .flat_map(|(path, text)| {
            // What is sourced runs under its caller's settings.
            let text = if text.starts_with("#!") { text.clone() } else { format!("{text}\n# pipefail") };
            let lines = scripts::lines_that_stop_early(&text);
            lines.into_iter().map(move |line| format!("{}:{line}", path.display()))
        })
        .collect();
    assert!(found.is_empty(), "pipes into what stops early (see tests/structure/scripts.rs):\n{}", found.join("\n"));
}
