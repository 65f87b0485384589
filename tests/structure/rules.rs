//! The rules, one function each, and the places that each allows.
//!
//! Does: say which rules a source breaks, and where. Does not: read files.

use crate::source::Source;

/// The modules in the order in which a sample moves through them; each may import itself and what is before it.
const PIPELINE: &[&str] = &[
    "types",
    "target",
    "capture",
    "unwind",
    "python",
    "merge",
    "sampler",
    "profile",
    "symbolize",
    "output",
    "report",
    "record",
    "cli",
];

/// The modules that see all of the pipeline.
const WHOLE: &[&str] = &["lib", "main"];

/// Pure modules: computation on what they are given.
const PURE: &[&str] = &["unwind", "python", "merge", "profile", "output"];

/// What a pure module has no business with.
const IMPURE: &[&str] = &["std::fs", "std::process", "std::net", "std::env", "libc::", "nix::"];

/// The files that may contain `unsafe`.
const UNSAFE: &[&str] = &["target/process_memory.rs", "capture/ptrace.rs", "sampler/time_slice.rs"];

/// The files that may ask which architecture they are compiled for: the ones that choose the architecture's files.
const ARCHITECTURE: &[&str] = &["lib.rs", "target/mod.rs", "capture/mod.rs", "unwind/mod.rs"];

/// Where versions of CPython may be compared.
const VERSIONS: &str = "python/layout";

/// The most lines of a file without its tests.
const LONGEST: usize = 400;

/// Every rule that `source` breaks, each as `file:line: what`.
pub fn broken(source: &Source) -> Vec<String> {
    let rules = [
        opens_with_a_doc,
        is_short,
        imports_upstream,
        is_pure,
        keeps_unsafe_in_place,
        chooses_architecture_in_place,
        compares_versions_in_place,
    ];
    let at = |(line, what): (usize, String)| format!("src/{}:{}: {what}", source.name, line + 1);
    rules.iter().flat_map(|rule| rule(source)).map(at).collect()
}

type Broken = Vec<(usize, String)>;

fn opens_with_a_doc(source: &Source) -> Broken {
    let opens = source.lines.first().is_some_and(|line| line.starts_with("//! "));
    if opens {
        Vec::new()
    } else {
        vec![(0, "does not open with `//!`: say what the file does and does not do".into())]
    }
}

fn is_short(source: &Source) -> Broken {
    if source.length <= LONGEST {
        return Vec::new();
    }
    vec![(LONGEST, format!("{} lines without the tests, the most is {LONGEST}", source.length))]
}

fn imports_upstream(source: &Source) -> Broken {
    let own = source.module();
    if WHOLE.contains(&own) {
        return Vec::new();
    }
    let Some(place) = PIPELINE.iter().position(|module| *module == own) else {
        return vec![(0, format!("`{own}` has no place in the pipeline: {PIPELINE:?}"))];
    };
    let text = source.code.join("\n");
    let mut broken = Vec::new();
    for (line, module) in crate_paths(&text) {
        // What is re-exported at the crate's root belongs to no stage: it says nothing about the direction.
        let Some(imported) = PIPELINE.iter().position(|known| *known == module) else {
            broken.push((line, format!("imports `crate::{module}`, which is no stage of the pipeline")));
            continue;
        };
        if imported > place {
            broken.push((line, format!("`{own}` imports `{module}`, which comes after it")));
        }
    }
    broken
}

/// Every module that is named right after `crate::` (or `fpprof::`), also in groups, with its line.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate", "fpprof"] {
        for (at, _) in text.match_indices(root) {
            let before = text[..at].chars().next_back();
            let rest = text[at + root.len()..].trim_start();
            let is_word =
                !before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == ':');
            let Some(path) = rest.strip_prefix("::").filter(|_| is_word) else { continue };
            let line = text[..at].matches('\n').count();
            found.extend(first_segments(path.trim_start()).into_iter().map(|module| (line, module)));
        }
    }
    found
}

/// The first name of a path, or of each path in a group `{a::b, c::{d, e}}`.
fn first_segments(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|character| character.is_alphanumeric() || "_*".contains(*character))
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn is_pure(source: &Source) -> Broken {
    if !PURE.contains(&source.module()) {
        return Vec::new();
    }
    let mut broken = Vec::new();
    for (line, code) in source.code[..source.length].iter().enumerate() {
        for what in IMPURE.iter().filter(|what| contains_path(code, what)) {
            broken.push((line, format!("`{what}` in a pure module")));
        }
        if is_impure_group(code) {
            broken.push((
                line,
                "`use std::{…}` of files, processes, the network or the environment in a pure module".into(),
            ));
        }
    }
    broken
}

fn contains_path(code: &str, path: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(path).any(|(at, _)| {
        let after = code[at + path.len()..].chars().next();
        let ends = path.ends_with(':') || !after.is_some_and(is_part);
        ends && !code[..at].chars().next_back().is_some_and(is_part)
    })
}

fn is_impure_group(code: &str) -> bool {
    let group = code.trim_start().strip_prefix("use std::").filter(|path| path.starts_with('{'));
    let first = group.map(first_segments).unwrap_or_default();
    first.iter().any(|name| ["fs", "process", "net", "env"].contains(&name.as_str()))
}

fn keeps_unsafe_in_place(source: &Source) -> Broken {
    let mut broken = Vec::new();
    for (line, code) in source.code.iter().enumerate() {
        if !contains_path(code, "unsafe") {
            continue;
        }
        if !UNSAFE.contains(&source.name.as_str()) {
            broken.push((line, format!("`unsafe` outside {UNSAFE:?}")));
        } else if !follows_safety_comment(source, line) {
            broken.push((line, "`unsafe` without a `// SAFETY:` above it".into()));
        }
    }
    broken
}

/// Whether the comment right above the statement of `line` has a SAFETY line.
fn follows_safety_comment(source: &Source, line: usize) -> bool {
    let above = source.lines[..line].iter().rev().map(|line| line.trim());
    // A statement can begin some lines before its `unsafe`, and attributes stand in between.
    let statement = above.skip_while(|line| !line.starts_with("//") && !line.ends_with([';', '{', '}']));
    statement
        .take_while(|line| line.starts_with("//"))
        .any(|line| line.starts_with("// SAFETY:") || line == "/// # Safety")
}

fn chooses_architecture_in_place(source: &Source) -> Broken {
    if ARCHITECTURE.contains(&source.name.as_str()) {
        return Vec::new();
    }
    let asks = |code: &String| contains_path(code, "target_arch");
    let lines = source.code.iter().enumerate().filter(|(_, code)| asks(code));
    lines.map(|(line, _)| (line, format!("`target_arch` outside {ARCHITECTURE:?}"))).collect()
}

/// Finds comparisons and matches of something that is called a version.
fn compares_versions_in_place(source: &Source) -> Broken {
    if source.name.starts_with(VERSIONS) {
        return Vec::new();
    }
    // Elsewhere a `version` can be that of an ELF table or of a file format.
    let any = source.module() == "python";
    let lines = source.code[..source.length].iter().enumerate().filter(|(_, code)| compares_version(code, any));
    lines.map(|(line, _)| (line, format!("a version is compared outside {VERSIONS}"))).collect()
}

const COMPARISONS: &[&str] = &[" >= ", " <= ", " < ", " > ", " == ", " != "];

/// Whether a version of CPython is an operand of a comparison or the subject of a match; any version when `any` says so.
fn compares_version(code: &str, any: bool) -> bool {
    let is_operand = |character: char| character.is_alphanumeric() || "_.()".contains(character);
    let is_version = |operand: &str| {
        let operand = operand.to_lowercase();
        let own = ["python_version", "py_version", "hexversion", "version.minor", "version.major", ".minor"];
        own.iter().any(|name| operand.contains(name)) || any && operand.trim_end_matches("()").ends_with("version")
    };
    let places = COMPARISONS.iter().flat_map(|operator| code.match_indices(operator));
    let mut operands = places.flat_map(|(at, operator)| {
        let left = code[..at].rsplit(|character| !is_operand(character)).next();
        let right = code[at + operator.len()..].split(|character| !is_operand(character)).next();
        left.into_iter().chain(right)
    });
    let subject = code.split("match ").nth(1).and_then(|rest| rest.split('{').next());
    operands.any(is_version) || subject.is_some_and(|subject| is_version(subject.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rules a file with this text breaks.
    fn count(name: &str, text: &str) -> usize {
        broken(&Source::new(name, &format!("//! X.\n{text}\n"))).len()
    }

    #[test]
    fn imports_against_the_direction_are_found() {
        for text in [
            "use crate::python::stack::PythonStack;",
            "use crate::{types::Addr, python::{stack, layout}};",
            "use crate::{\n    target::{memory::Memory, maps},\n    cli,\n};",
            "fn f() -> crate::merge::Stack {}",
            "use crate::merge;",
            "use crate::Stack;",
            "use crate::*;",
            "use fpprof::output::svg;",
        ] {
            assert_eq!(count("unwind/x.rs", text), 1, "{text}");
        }
        assert_eq!(count("helpers/x.rs", ""), 1, "a module without a place");
        assert_eq!(count("unwind/x.rs", "use crate::{python, merge};"), 2);
    }

    #[test]
    fn imports_along_the_direction_are_allowed() {
        for text in [
            "use crate::{types::Addr, target::{memory::Memory, python}};",
            "use super::stack; // use crate::python;",
            "use crate::unwind::stack;",
            "const S: &str = \"crate::python\";",
            "use my_crate::python;",
            "pub(crate) fn f() {}",
        ] {
            assert_eq!(count("unwind/x.rs", text), 0, "{text}");
        }
        assert_eq!(count("lib.rs", "use crate::cli;"), 0);
        assert_eq!(count("merge.rs", "use crate::python::stack;"), 0);
    }

    #[test]
    fn system_calls_in_pure_modules_are_found() {
        for text in [
            "use std::fs;",
            "std::fs::read(p);",
            "use std::{fs, io};",
            "libc::getpid();",
            "use nix::sys;",
            "use std::env;",
        ] {
            assert_eq!(count("python/x.rs", text), 1, "{text}");
            assert_eq!(count("target/x.rs", text), 0, "{text}");
        }
        for text in
            ["// libc::x", "use std::{fmt, iter};", "let nix = 1;", "#[cfg(test)]\nmod tests {\n use std::fs;\n}"]
        {
            assert_eq!(count("python/x.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn unsafe_is_found_outside_its_places_and_without_a_reason() {
        let reason = "fn f() {\n    // SAFETY: it is.\n    unsafe { g() }\n}";
        assert_eq!(count("python/x.rs", reason), 1);
        assert_eq!(count("target/x.rs", reason), 1);
        assert_eq!(count("target/process_memory.rs", reason), 0);
        assert_eq!(
            count(
                "target/process_memory.rs",
                "fn f() {\n    // SAFETY: it is,\n    // really.\n    let x =\n        unsafe { g() };\n}"
            ),
            0
        );
        assert_eq!(count("target/process_memory.rs", "fn f() {\n    unsafe { g() }\n}"), 1);
        assert_eq!(
            count("target/process_memory.rs", "fn f() {\n    // SAFETY: it is.\n    h();\n    unsafe { g() }\n}"),
            1
        );
        assert_eq!(count("python/x.rs", "// unsafe\nconst S: &str = \"unsafe\"; fn not_unsafe_fn() {}"), 0);
    }

    #[test]
    fn architectures_are_found_outside_their_places() {
        let text = "#[cfg(target_arch = \"x86_64\")]\nmod x86_64;";
        assert_eq!((count("unwind/rules.rs", text), count("unwind/mod.rs", text)), (1, 0));
        assert_eq!(count("unwind/rules.rs", "if cfg!(target_arch = \"aarch64\") {}"), 1);
    }

    #[test]
    fn versions_compared_outside_the_layouts_are_found() {
        for text in [
            "if version >= V {",
            "if self.version.minor < 13 {",
            "match version {",
            "match version.minor {",
            "if (3, 12) > python_version {",
            "if layout.py_version() == x {",
        ] {
            assert_eq!((count("python/frames.rs", text), count("python/layout/mod.rs", text)), (1, 0), "{text}");
        }
        for text in ["if python_version >= V {", "match version.minor() {", "if 13 <= process.version.minor {"] {
            assert_eq!(count("cli/x.rs", text), 1, "{text}");
        }
        assert_eq!(count("unwind/x.rs", "let known = version == 1;"), 0, "the version of a table");
        for text in [
            "let version = read();",
            "print(version);",
            "// version >= 3",
            "fn f(version: Version) -> bool {",
            "Vec<Version>",
        ] {
            assert_eq!(count("python/frames.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn long_files_and_missing_docs_are_found() {
        assert_eq!(count("python/x.rs", &"x();\n".repeat(LONGEST)), 1);
        assert_eq!(count("python/x.rs", &"x();\n".repeat(LONGEST - 2)), 0);
        assert_eq!(count("python/x.rs", &format!("#[cfg(test)]\nmod tests {{\n{}}}", "x();\n".repeat(LONGEST))), 0);
        assert_eq!(broken(&Source::new("python/x.rs", "use std::fmt;\n")).len(), 1);
        assert_eq!(broken(&Source::new("python/x.rs", "")).len(), 1);
    }
}
