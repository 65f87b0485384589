//! The rules of docs/architecture.md that a compiler does not check, checked on the text of `src`.
//!
//! Does: hold every source file against the rules. Does not: know the rules' details (`rules`) or Rust's lexical
//! structure (`source`).

mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// Every source file of the library and the binary, named relative to `src`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let name = |path: &Path| path.strip_prefix(&root).expect("it is below src").to_string_lossy().into_owned();
    files.iter().map(|path| Source::new(&name(path), &fs::read_to_string(path).expect("it is UTF-8"))).collect()
}

#[test]
fn the_sources_keep_the_rules() {
    let sources = sources();
    assert!(sources.len() > 5, "the sources were not found");
    let broken: Vec<String> = sources.iter().flat_map(rules::broken).collect();
    assert!(broken.is_empty(), "{} broken rules:\n{}", broken.len(), broken.join("\n"));
}
