//! A report for programs. `docs/doctor.md` is its schema: what is there stays, in name and meaning, for as long as
//! `version` does.
//!
//! Does: write it. Does not: clean or shorten anything.

use serde::Serialize;

use super::advice::{self, Finding};
use super::examine::{ProcessReport, Report};
use super::module::{ModuleReport, Tables, Verdict};
use crate::cli::failure::Failure;
use crate::cli::standard_output::document;
use crate::symbolize::{DebugFileSource, SymbolSource};

/// Fields may be added to a version; one that is taken away or changes its meaning makes the next.
const VERSION: u32 = 1;

/// What is said of a target.
#[derive(Default, Serialize)]
pub struct Content<'a> {
    error: Option<ErrorFacts<'a>>,
    process: Option<ProcessFacts<'a>>,
    modules: Vec<ModuleFacts<'a>>,
    findings: Vec<FindingFacts>,
}

#[derive(Serialize)]
struct ErrorFacts<'a> {
    message: &'a str,
    hint: &'a str,
}

#[derive(Serialize)]
struct ProcessFacts<'a> {
    pid: i32,
    command: &'a str,
    user: Option<u32>,
    fpprof_user: Option<u32>,
    python: PythonFacts<'a>,
    unnamed_code: u64,
}

#[derive(Serialize)]
struct PythonFacts<'a> {
    version: &'a str,
    module: &'a str,
    free_threaded: bool,
    debug: bool,
    layout: &'static str,
    tested: bool,
    jit_keeps_frame_pointers: bool,
}

#[derive(Serialize)]
struct ModuleFacts<'a> {
    path: &'a str,
    name: &'a str,
    kind: &'static str,
    code: u64,
    frame_pointers: &'static str,
    frame_pointer_share: Option<f64>,
    bytes: CodeBytes,
    unwind_tables: &'static str,
    described_share: Option<f64>,
    symbols: &'static str,
    symbol_file: Option<String>,
    lines: &'static str,
    line_file: Option<String>,
    no_lines: Option<String>,
    error: Option<String>,
}

#[derive(Serialize)]
struct CodeBytes {
    kept: u64,
    omitted: u64,
    frameless: u64,
    edges: u64,
}

#[derive(Serialize)]
struct FindingFacts {
    id: &'static str,
    modules: Vec<String>,
    what: &'static str,
    repair: &'static str,
    remedy: Option<&'static str>,
}

impl<'a> Content<'a> {
    /// What a report says.
    pub fn of(report: &'a Report) -> Content<'a> {
        Content {
            process: report.process.as_ref().map(process),
            modules: report.modules.iter().map(module).collect(),
            findings: advice::findings(report).into_iter().map(finding).collect(),
            ..Content::default()
        }
    }

    /// Why a target cannot be examined.
    pub fn failed(failure: &'a Failure) -> Content<'a> {
        let error = ErrorFacts { message: &failure.message, hint: &failure.hint };
        Content { error: Some(error), ..Content::default() }
    }
}

/// The document of a report, and a line end.
pub fn write(report: &Report) -> String {
    text(&Content::of(report))
}

/// The document of a target that cannot be examined, and a line end.
pub fn failure(failure: &Failure) -> String {
    text(&Content::failed(failure))
}

fn text(content: &Content<'_>) -> String {
    document("fpprof doctor", VERSION, content)
}

fn process(process: &ProcessReport) -> ProcessFacts<'_> {
    let interpreter = &process.interpreter;
    ProcessFacts {
        pid: process.pid.0,
        command: &process.command,
        user: process.users.map(|(target, _)| target),
        fpprof_user: process.users.map(|(_, ours)| ours),
        python: PythonFacts {
            version: &interpreter.version,
            module: &interpreter.path,
            free_threaded: interpreter.free_threaded,
            debug: interpreter.debug,
            layout: if interpreter.by_debug_offsets { "debug_offsets" } else { "table" },
            tested: interpreter.is_tested,
            jit_keeps_frame_pointers: interpreter.jit_keeps_frame_pointers,
        },
        unnamed_code: process.unnamed_code,
    }
}

fn module(module: &ModuleReport) -> ModuleFacts<'_> {
    let used = &module.frame_pointers;
    let (symbols, symbol_file) = match &module.sources.symbols {
        SymbolSource::Own => ("own", None),
        SymbolSource::DebugFile(source) => ("debug_file", Some(source)),
        SymbolSource::MiniDebugInfo => ("mini_debug_info", None),
        SymbolSource::ExportsOnly => ("exports", None),
        SymbolSource::Nothing => ("none", None),
    };
    let (lines, line_file) = match &module.sources.lines {
        Ok(None) => ("own", None),
        Ok(Some(source)) => ("debug_file", Some(source)),
        Err(_) => ("none", None),
    };
    let path = |source: &DebugFileSource| source.path.to_string_lossy().into_owned();
    ModuleFacts {
        path: &module.path,
        name: &module.name,
        kind: module.kind.id(),
        code: module.code,
        frame_pointers: match module.keeps_frame_pointers() {
            Verdict::Yes => "yes",
            Verdict::Partly => "partly",
            Verdict::No => "no",
            Verdict::Unknown => "unknown",
        },
        frame_pointer_share: used.share(),
        bytes: CodeBytes { kept: used.kept, omitted: used.omitted, frameless: used.frameless, edges: used.edges },
        unwind_tables: match module.tables {
            Tables::Searchable => "searchable",
            Tables::Unsorted => "unsorted",
            Tables::Missing => "none",
        },
        described_share: module.described(),
        symbols,
        symbol_file: symbol_file.map(path),
        lines,
        line_file: line_file.map(path),
        no_lines: module.sources.lines.as_ref().err().map(ToString::to_string),
        error: module.error.as_ref().map(ToString::to_string),
    }
}

fn finding(finding: Finding) -> FindingFacts {
    let Finding { id, modules, what, repair, remedy } = finding;
    FindingFacts { id, modules, what, repair, remedy }
}
