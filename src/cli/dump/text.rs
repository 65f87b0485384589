//! A dump for people: each thread with its stack, innermost frame first, as debuggers list them.
//!
//! Does: lay it out. Does not: look at a process or a snapshot.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::look::{Dump, DumpedTarget, ShownStack, ThreadDump};
use crate::cli::standard_output::set;
use crate::cli::style::Style;
use crate::output::label::{LabelOptions, name_and_place};
use crate::profile::clean::one_line;
use crate::profile::frame::FrameKind;
use crate::sampler::run_state::RunState;

/// Writes the text, line by line: all of it never is in memory.
///
/// # Errors
/// When it cannot be written.
pub fn write(dump: &Dump, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut line = |text: &str| {
        out.write_all(set(text, style).as_bytes())?;
        out.write_all(b"\n")
    };
    let mut kinds = BTreeSet::new();
    line(&subject(dump))?;
    line(&format!("CPython {}{} ({})", dump.version, threading(dump), one_line(&dump.interpreter)))?;
    for thread in &dump.threads {
        line("")?;
        line(&heading(thread, style))?;
        match &thread.stack {
            Ok(stack) => {
                let stack = dump.names.shown(stack);
                kinds.extend(stack.frames.iter().map(|frame| frame.kind));
                write_frames(&stack, style, &mut line)?;
            }
            Err(reason) => line(&format!("    [no stack: {}]", reason.reason()))?,
        }
    }
    legend(&kinds, style).iter().try_for_each(|text| line(text))
}

fn subject(dump: &Dump) -> String {
    match &dump.subject {
        DumpedTarget::Process(process, _) => {
            format!("Process {}: {}", process.pid, one_line(&process.command_line.join(" ")))
        }
        DumpedTarget::Snapshot(file, machine) => {
            format!("Snapshot {}: a thread on {}", one_line(&file.to_string_lossy()), machine.name())
        }
    }
}

fn threading(dump: &Dump) -> &'static str {
    if dump.free_threaded { ", free-threaded" } else { "" }
}

fn heading(thread: &ThreadDump, style: Style) -> String {
    let mut facts = Vec::new();
    let identity = thread.identity.as_ref();
    if identity.is_some_and(|identity| identity.is_main) {
        facts.push("main".to_owned());
    }
    if !thread.is_python {
        facts.push("not Python's".to_owned());
    }
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let state = thread.stack.as_ref().map_or(&RunState::Unknown, |stack| &stack.run_state);
    let gil = if identity.is_some_and(|identity| identity.holds_gil) { ", holds the GIL" } else { "" };
    let Some(identity) = identity else { return style.strong(&format!("The thread that was saved{facts}")) };
    let name = identity.name.as_deref().map_or("unnamed".to_owned(), |name| format!("\"{}\"", one_line(name)));
    style.strong(&format!("Thread {} {name}{facts}: {state}{gil}", identity.tid))
}

fn write_frames(stack: &ShownStack<'_>, style: Style, line: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    if stack.frames.is_empty() {
        return line("    [no frames to show]");
    }
    for (frame, locals) in stack.frames_and_locals() {
        let (name, place) = name_and_place(frame, &LabelOptions::default());
        let place = place.map_or_else(String::new, |place| style.faint(&format!(" ({place})")));
        // The mark takes the place of a space, so that the text is at one column with and without it.
        let first = match style.mark(frame.kind) {
            mark if mark.is_empty() => format!("    {name}{place}"),
            mark => format!("  {mark} {name}{place}"),
        };
        line(&first)?;
        for local in locals.unwrap_or_default() {
            line(&format!("        {} = {}", one_line(&local.name), one_line(&local.value)))?;
        }
    }
    Ok(())
}

/// What the colours mean, of the kinds that occur.
fn legend(kinds: &BTreeSet<FrameKind>, style: Style) -> Vec<String> {
    if !style.has_colors() || kinds.is_empty() {
        return Vec::new();
    }
    let entry = |kind: &FrameKind| format!("{} {}", style.mark(*kind), kind.description());
    vec![String::new(), kinds.iter().map(entry).collect::<Vec<_>>().join("  ")]
}
