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
    "stack",
    "process",
    "snapshot",
    "sampler",
    "profile",
    "symbolize",
    "output",
    "report",
    "record",
    "cli",
];

/// The modules that see all of the pipeline.
const WHOLE: &[&str] = &["lib", "library", "main"];

/// Pure modules: computation on what they are given.
const PURE: &[&str] = &["unwind", "python", "merge", "profile", "output"];

/// What a pure module has no business with.
const IMPURE: &[&str] = &["std::fs", "std::process", "std::net", "std::env", "libc::", "nix::"];

/// The files that may contain `unsafe`.
const UNSAFE: &[&str] =
    &["capture/ptrace.rs", "capture/watchdog.rs", "sampler/precedence.rs", "target/shared_memory.rs"];

/// The files that may ask which architecture they are compiled for: the ones that choose the architecture's files.
const ARCHITECTURE: &[&str] = &["target/mod.rs", "capture/mod.rs"];

/// The modules that may name the files of `/proc`.
const PROC: &[&str] = &["target", "capture"];

/// What makes a loop over ticks: the stages before `cli` have it.
const TICKS: &[&str] = &["Clock::new", "Tick::Due", "Tick::None"];

/// What writes to a terminal as it is, and panics where that is gone.
const SAYING: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "dbg!"];

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
        names_proc_in_place,
        leaves_ticks_to_stages,
        says_in_place,
    ];
    let at = |(line, what): (usize, String)| format!("src/{}:{}: {what}", source.name, line + 1);
    rules.iter().flat_map(|rule| rule(source)).map(at).collect()
}

/// The allowances that none of `sources` uses: what is allowed for nothing will be used by mistake.
pub fn unused_allowances(sources: &[Source]) -> Vec<String> {
    let uses = |word: &'static str| move |source: &Source| source.code.iter().any(|code| contains_path(code, word));
    let lists = [("unsafe", UNSAFE), ("target_arch", ARCHITECTURE)];
    let unused = lists.into_iter().flat_map(|(word, allowed)| {
        let is_used = |name: &&&str| sources.iter().filter(|source| source.name == **name).any(uses(word));
        allowed
            .iter()
            .filter(move |name| !is_used(name))
            .map(move |name| format!("`{word}` is allowed in {name}, and not there"))
    });
    unused.collect()
}

type Broken = Vec<(usize, String)>;

/// Strings are looked at, too: paths are in them.
fn names_proc_in_place(source: &Source) -> Broken {
    if PROC.contains(&source.module()) {
        return Vec::new();
    }
    let lines = source.lines[..source.length].iter().enumerate();
    let names = |line: &str| {
        ["\"/proc/", "(\"/proc"].iter().any(|path| line.contains(path)) && !line.trim_start().starts_with("//")
    };
    lines.filter(|(_, line)| names(line)).map(|(line, _)| (line, format!("`/proc` is read outside {PROC:?}"))).collect()
}

fn leaves_ticks_to_stages(source: &Source) -> Broken {
    if source.module() != "cli" {
        return Vec::new();
    }
    let lines = source.code[..source.length].iter().enumerate();
    let ticks = |code: &str| TICKS.iter().any(|what| code.contains(what));
    lines
        .filter(|(_, code)| ticks(code))
        .map(|(line, _)| (line, "a loop over ticks in a command: it is `record`'s".into()))
        .collect()
}

/// All that is said goes through `cli/messages.rs` or `cli/standard_output.rs`, which clean it.
fn says_in_place(source: &Source) -> Broken {
    let lines = source.code[..source.length].iter().enumerate();
    let says = |code: &str| SAYING.iter().any(|name| contains_path(code, name));
    lines
        .filter(|(_, code)| says(code))
        .map(|(line, _)| (line, "it says something past `cli::messages`, which cleans it".into()))
        .collect()
}

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
mod tests;
