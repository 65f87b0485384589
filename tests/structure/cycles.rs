//! Files that import each other in a circle: none of them can be read first.
//!
//! Does: find such circles by the `use` lines of all files. Does not: see paths that are written out in code, or judge what is allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// A file as a path of modules: `unwind/x86_64/mod.rs` is `[unwind, x86_64]`.
type Module = Vec<String>;

/// The circles, each as the names of its files, sorted.
pub fn cycles(sources: &[Source]) -> Vec<Vec<String>> {
    let files: BTreeMap<Module, &Source> =
        sources.iter().filter(|source| source.length > 0).map(|source| (module_of(&source.name), source)).collect();
    let imports: BTreeMap<&Module, BTreeSet<&Module>> = files
        .iter()
        .map(|(module, source)| {
            let is_own = |name: &String| files.contains_key(&[&module[..], std::slice::from_ref(name)].concat());
            let imports = imported(source).into_iter();
            let paths = imports.filter_map(|import| file_of(&files, &absolute(module, &import, is_own)?));
            (module, paths.filter(|other| *other != module).collect())
        })
        .collect();
    let reaches: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (*module, reachable(&imports, module))).collect();
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, others) in &reaches {
        if others.contains(module) {
            let circle = others.iter().filter(|other| reaches[**other].contains(module));
            circles.insert(circle.map(|other| files[*other].name.clone()).collect());
        }
    }
    circles.into_iter().collect()
}

fn module_of(name: &str) -> Module {
    let path = name.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// All that can be come to from a file by its imports and theirs.
fn reachable<'a>(imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>, from: &Module) -> BTreeSet<&'a Module> {
    let mut found: BTreeSet<&Module> = BTreeSet::new();
    let mut next: Vec<&Module> = imports[from].iter().copied().collect();
    while let Some(module) = next.pop() {
        if found.insert(module) {
            next.extend(&imports[module]);
        }
    }
    found
}

/// The file that a path of modules and names leads into: the longest beginning of it that is one.
fn file_of<'a>(files: &'a BTreeMap<Module, &Source>, path: &[String]) -> Option<&'a Module> {
    (1..=path.len()).rev().find_map(|length| files.get_key_value(&path[..length]).map(|(module, _)| module))
}

/// A path from the crate's root; `None` for one of another crate. `is_own` tells the names of the file's own modules.
fn absolute(module: &Module, import: &Import, is_own: impl Fn(&String) -> bool) -> Option<Module> {
    let path = &import.path;
    let supers = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([module.get(..module.len().checked_sub(supers)?)?, &path[supers..]].concat()),
        // What a file hands on of its own modules, it does not use itself.
        _ if !import.is_handed_on && is_own(path.first()?) => Some([module, &path[..]].concat()),
        _ => None,
    }
}

/// A path that a `use` names.
struct Import {
    path: Module,
    /// `pub use`.
    is_handed_on: bool,
}

/// Every path that a `use` of the file names.
fn imported(source: &Source) -> Vec<Import> {
    let text = source.code[..source.length].join(" ");
    let uses = text.split(';').filter_map(|statement| {
        let at = statement
            .rfind("use ")
            .filter(|at| !statement[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))?;
        let before = statement[..at].trim_end();
        Some((before.ends_with("pub") || before.ends_with(')'), statement[at + 4..].trim()))
    });
    uses.flat_map(|(is_handed_on, tree)| expanded(&[], tree).into_iter().map(move |path| Import { path, is_handed_on }))
        .collect()
}

fn parts(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty())
}

/// The paths of a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expanded(before: &[String], tree: &str) -> Vec<Module> {
    let Some((path, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![before.iter().cloned().chain(parts(path)).collect()];
    };
    let before: Module = before.iter().cloned().chain(parts(path)).collect();
    let mut depth = 0;
    let inside = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
    let branches = inside.split(|character| {
        depth += i32::from(character == '{') - i32::from(character == '}');
        character == ',' && depth == 0
    });
    branches.filter(|branch| !branch.trim().is_empty()).flat_map(|branch| expanded(&before, branch.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let sources: Vec<Source> =
            files.iter().map(|(name, text)| Source::new(name, &format!("//! X.\n{text}\n"))).collect();
        cycles(&sources)
    }

    #[test]
    fn circles_are_found_however_they_are_imported() {
        for (there, back) in [
            ("use super::b::B;", "use super::a::A;"),
            ("use crate::x::b::{B, C};", "use crate::{x::{a::A, d}, y};"),
            ("pub use super::b;", "use crate::x::a::f as g;"),
        ] {
            let circles = found(&[("x/a.rs", there), ("x/b.rs", back), ("x/c.rs", "use super::a::A;")]);
            assert_eq!(circles, [["x/a.rs", "x/b.rs"]], "{there} {back}");
        }
        assert_eq!(found(&[("x/mod.rs", "use self::a::A;"), ("x/a.rs", "use super::X;")]).len(), 1);
    }

    #[test]
    fn a_file_s_own_modules_are_imported_by_their_names_alone() {
        let child = ("a/b.rs", "//! B.\nuse super::f;\n");
        assert_eq!(found(&[("a/mod.rs", "//! A.\nmod b;\nuse b::g;\n"), child]), [["a/mod.rs", "a/b.rs"]]);
        assert!(found(&[("a/mod.rs", "//! A.\nmod b;\npub use b::g;\n"), child]).is_empty(), "that is handed on");
        assert!(found(&[("a/mod.rs", "//! A.\nuse c::g;\n"), child]).is_empty(), "another crate");
    }

    #[test]
    fn what_is_imported_one_way_is_none() {
        for back in
            ["", "// use super::a::A;", "#[cfg(test)]\nmod tests {\n    use super::super::a::A;\n}", "use std::a;"]
        {
            assert!(found(&[("x/a.rs", "use super::b::B;"), ("x/b.rs", back)]).is_empty(), "{back}");
        }
    }
}
