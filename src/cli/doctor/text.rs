//! A report for people, in 80 columns.
//!
//! Does: lay it out. Does not: judge it (`advice`).

use super::advice::{self, Finding};
use super::examine::{InterpreterReport, ProcessReport, Report};
use super::module::{ModuleReport, Tables, Verdict};
use crate::cli::style::Style;
use crate::profile::clean::one_line;
use crate::symbolize::SymbolSource;

const WIDTH: usize = 80;
const INDENT: usize = 2;
/// Widths of the columns: module, code, frame pointers, unwind tables, symbols; the last one takes what is left.
const COLUMNS: [usize; 5] = [28, 8, 14, 6, 9];
/// So many modules are named in a finding; the table has all.
const NAMED: usize = 6;

/// The text, with a line end behind each line.
pub fn write(report: &Report, style: Style) -> String {
    let mut lines = Vec::new();
    match &report.process {
        Some(process) => process_lines(process, &mut lines),
        None => file_lines(report, &mut lines),
    }
    lines.push(String::new());
    lines.push(
        style.strong(&row(["CODE IN", "SIZE", "FRAME POINTERS", "TABLES", "SYMBOLS", "LINES"].map(str::to_owned))),
    );
    lines.extend(report.modules.iter().map(|module| row(cells(module))));
    let findings = advice::findings(report);
    lines.push(String::new());
    lines.push(style.strong(if findings.is_empty() { "No weak links." } else { "Weak links, the weakest first" }));
    for finding in &findings {
        finding_lines(finding, &mut lines);
    }
    let mut remedies: Vec<&str> = findings.iter().filter_map(|finding| finding.remedy).collect();
    remedies.dedup();
    if !remedies.is_empty() {
        lines.push(String::new());
        lines.push(style.strong("What you can do"));
        remedies.iter().for_each(|remedy| wrap("- ", remedy, &mut lines));
    }
    lines.join("\n") + "\n"
}

fn process_lines(process: &ProcessReport, lines: &mut Vec<String>) {
    let InterpreterReport { version, path, is_tested, .. } = &process.interpreter;
    fact("Process", &format!("{}: {}", process.pid, one_line(&process.command)), lines);
    let users = process.users.map_or_else(String::new, |(target, ours)| {
        format!(" (fpprof runs as user {ours}, the process as user {target})")
    });
    fact("Permission", &format!("granted{users}"), lines);
    fact("Interpreter", &format!("CPython {version} in {}", one_line(path)), lines);
    fact("Build", &build(process), lines);
    let layout = match process.interpreter.by_debug_offsets {
        true => "from the debug offsets that the interpreter itself carries, checked",
        false => "from fpprof's table of this version",
    };
    let tested = if *is_tested { "" } else { "; no release of fpprof has been tested with this build" };
    fact("Layout", &format!("{layout}{tested}"), lines);
}

fn build(process: &ProcessReport) -> String {
    let InterpreterReport { free_threaded, debug, jit_keeps_frame_pointers, .. } = process.interpreter;
    let gil = if free_threaded { "free-threaded" } else { "with a GIL" };
    let debug = if debug { "debug" } else { "release" };
    let unnamed = match (process.unnamed_code, jit_keeps_frame_pointers) {
        (0, _) => "no code made at run time".to_owned(),
        (bytes, true) => format!("{} of code made at run time (this JIT's keeps frame pointers)", size(bytes)),
        (bytes, false) => format!("{} of code made at run time", size(bytes)),
    };
    format!("{gil}; {debug}; {unnamed}")
}

fn file_lines(report: &Report, lines: &mut Vec<String>) {
    for module in &report.modules {
        fact("File", &one_line(&module.path), lines);
    }
    let what = match report.interpreter() {
        Some(_) => "holds a CPython; `fpprof doctor -- PROGRAM` examines it while it runs",
        None => "holds no CPython; `fpprof doctor -- PROGRAM` examines a program with its libraries",
    };
    fact("Python", what, lines);
}

fn fact(name: &str, text: &str, lines: &mut Vec<String>) {
    wrap(&format!("{name:<13}"), text, lines);
}

/// Text behind `label`, wrapped between words; a word that is too long has a line of its own.
fn wrap(label: &str, text: &str, lines: &mut Vec<String>) {
    let indent = " ".repeat(label.chars().count());
    let mut line = label.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
}

fn finding_lines(finding: &Finding, lines: &mut Vec<String>) {
    let mut modules: Vec<String> = finding.modules.iter().take(NAMED).map(|name| one_line(name).into_owned()).collect();
    let more = finding.modules.len().saturating_sub(modules.len());
    if more > 0 {
        modules.push(format!("{more} more"));
    }
    wrap("- ", &modules.join(", "), lines);
    wrap(&" ".repeat(2 * INDENT), &format!("{} {}", finding.what, finding.repair), lines);
}

fn row(cells: [String; 6]) -> String {
    let mut text = String::new();
    for (index, cell) in cells.iter().enumerate() {
        match COLUMNS.get(index) {
            // Sizes are read by their last digit.
            Some(width) if index == 1 => text.push_str(&format!("{cell:>width$}  ")),
            Some(width) => text.push_str(&format!("{cell:<width$}  ")),
            None => text.push_str(cell),
        }
    }
    text.trim_end().to_owned()
}

fn cells(module: &ModuleReport) -> [String; 6] {
    let name = shortened(&one_line(&module.name), COLUMNS[0]);
    if let Some(error) = &module.error {
        return [
            name,
            String::new(),
            shortened(&error.to_string(), WIDTH),
            String::new(),
            String::new(),
            String::new(),
        ];
    }
    let lines = match &module.sources.lines {
        Ok(None) => "own",
        Ok(Some(_)) => "file",
        Err(_) => "no",
    };
    [name, size(module.code), frame_pointers(module), tables(module), symbols(module).to_owned(), lines.to_owned()]
}

fn frame_pointers(module: &ModuleReport) -> String {
    let Some(share) = module.frame_pointers.share() else { return "-".to_owned() };
    let verdict = match module.keeps_frame_pointers() {
        Verdict::Yes => "yes",
        Verdict::Partly => "partly",
        Verdict::No => "no",
        Verdict::Unknown => "-",
    };
    format!("{verdict:<6} {:>4.0} %", share * 100.0)
}

fn tables(module: &ModuleReport) -> String {
    match (module.tables, module.described()) {
        (Tables::Missing, _) | (_, None) => "no".to_owned(),
        _ if !module.lacks_tables() => "yes".to_owned(),
        (_, Some(share)) => format!("{:.0} %", share * 100.0),
    }
}

fn symbols(module: &ModuleReport) -> &'static str {
    match module.sources.symbols {
        SymbolSource::Own => "own",
        SymbolSource::DebugFile(_) => "file",
        SymbolSource::MiniDebugInfo => "mini",
        SymbolSource::ExportsOnly => "exports",
        SymbolSource::Nothing => "no",
    }
}

/// A text without its middle where it is too long.
fn shortened(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let head = width / 2;
    let tail = width.saturating_sub(head + 1);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
