//! Texts that break the rules, and texts that do not.

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
    for text in
        ["use std::fs;", "std::fs::read(p);", "use std::{fs, io};", "libc::getpid();", "use nix::sys;", "use std::env;"]
    {
        assert_eq!(count("python/x.rs", text), 1, "{text}");
        assert_eq!(count("target/x.rs", text), 0, "{text}");
    }
    for text in ["// libc::x", "use std::{fmt, iter};", "let nix = 1;", "#[cfg(test)]\nmod tests {\n use std::fs;\n}"] {
        assert_eq!(count("python/x.rs", text), 0, "{text}");
    }
}

#[test]
fn unsafe_is_found_outside_its_places_and_without_a_reason() {
    let reason = "fn f() {\n    // SAFETY: it is.\n    unsafe { g() }\n}";
    assert_eq!(count("python/x.rs", reason), 1);
    assert_eq!(count("target/x.rs", reason), 1);
    assert_eq!(count("capture/ptrace.rs", reason), 0);
    assert_eq!(
        count(
            "capture/ptrace.rs",
            "fn f() {\n    // SAFETY: it is,\n    // really.\n    let x =\n        unsafe { g() };\n}"
        ),
        0
    );
    assert_eq!(count("capture/ptrace.rs", "fn f() {\n    unsafe { g() }\n}"), 1);
    assert_eq!(count("capture/ptrace.rs", "fn f() {\n    // SAFETY: it is.\n    h();\n    unsafe { g() }\n}"), 1);
    assert_eq!(count("python/x.rs", "// unsafe\nconst S: &str = \"unsafe\"; fn not_unsafe_fn() {}"), 0);
}

#[test]
fn architectures_are_found_outside_their_places() {
    let text = "#[cfg(target_arch = \"x86_64\")]\nmod x86_64;";
    assert_eq!((count("unwind/rules.rs", text), count("capture/mod.rs", text)), (1, 0));
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

#[test]
fn proc_and_ticks_are_found_outside_their_places() {
    for text in ["fs::read(\"/proc/self/stat\");", "format!(\"/proc/{pid}/task\")"] {
        assert_eq!((count("sampler/x.rs", text), count("target/x.rs", text)), (1, 0), "{text}");
    }
    assert_eq!(count("sampler/x.rs", "// \"/proc/self/stat\""), 0);
    let ticks = "while clock.wait() == Tick::Due {";
    assert_eq!((count("cli/x.rs", ticks), count("record/x.rs", ticks)), (1, 0));
}

#[test]
fn what_is_said_past_the_one_writer_is_found() {
    for text in ["eprintln!(\"x\");", "print!(\"{x}\");", "Err(e) => println!(),", "let x = dbg!(y);"] {
        assert_eq!(count("cli/x.rs", text), 1, "{text}");
    }
    for text in ["// eprintln!(x)", "say(\"eprintln!\");", "#[cfg(test)]\nmod tests {\n println!();\n}"] {
        assert_eq!(count("cli/x.rs", text), 0, "{text}");
    }
}

#[test]
fn allowances_that_nothing_uses_are_found() {
    let sources = [
        Source::new("capture/ptrace.rs", "//! X.\nunsafe {}\n"),
        Source::new("sampler/precedence.rs", "//! X.\n// unsafe\n"),
    ];
    let unused = unused_allowances(&sources);
    assert!(unused.iter().any(|text| text.contains("precedence")), "{unused:?}");
    assert!(!unused.iter().any(|text| text.contains("ptrace")), "{unused:?}");
}
