//! A dump for people: each thread with its stack, innermost frame first, as debuggers list them.
//!
//! Does: lay it out. Does not: look at a process or a snapshot.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use super::look::{Dump, DumpedTarget, ShownStack, ThreadDump};
use crate::cli::standard_output::set;
use crate::cli::style::Style;
use crate::output::label::{LabelOptions, name_and_place};
use crate::profile::clean::one_line;
use crate::profile::frame::FrameKind;
use crate::sampler::run_state::RunState;
use crate::target::core::notes::Signal;
use crate::target::view::Identity;

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
    subject(dump).iter().try_for_each(|text| line(text))?;
    if let Some(python) = &dump.python {
        let threading = if python.free_threaded { ", free-threaded" } else { "" };
        line(&format!("CPython {}{threading} ({})", python.version, one_line(&python.module)))?;
    }
    let signal = match &dump.subject {
        DumpedTarget::Core(core) => core.signal.as_ref(),
        DumpedTarget::Process(..) | DumpedTarget::Snapshot(..) => None,
    };
    for thread in &dump.threads {
        let hit = signal.filter(|signal| thread.identity.as_ref().is_some_and(|identity| identity.tid == signal.tid));
        line("")?;
        line(&heading(thread, (hit, dump.python.is_some()), style))?;
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

/// What was looked at, a line or more.
fn subject(dump: &Dump) -> Vec<String> {
    let command_line = |process: &Identity| one_line(&process.command_line.join(" ")).into_owned();
    let path = |path: &Path| one_line(&path.to_string_lossy()).into_owned();
    match &dump.subject {
        DumpedTarget::Process(process, _) => vec![format!("Process {}: {}", process.pid, command_line(process))],
        DumpedTarget::Snapshot(file, machine) => {
            vec![format!("Snapshot {}: a thread on {}", path(file), machine.name())]
        }
        DumpedTarget::Core(core) => {
            let process = &core.process;
            let mut lines =
                vec![format!("Core {}: process {}: {}", path(&core.file), process.pid, command_line(process))];
            lines.extend(core.signal.as_ref().map(|signal| format!("Ended by {}", cause(signal))));
            lines.extend(core.notices.iter().map(|notice| format!("Missing: {}", one_line(notice))));
            lines.extend(core.no_python.as_ref().map(|why| format!("No Python is shown: {}", one_line(why))));
            lines
        }
    }
}

/// What a signal is called, what it came from, and which thread it has hit.
fn cause(signal: &Signal) -> String {
    let from = match signal {
        Signal { address: Some(address), .. } => format!(", raised at the address {address}"),
        Signal { sender: Some((pid, user)), .. } => format!(", sent by process {pid} of user {user}"),
        _ => String::new(),
    };
    format!("{} in thread {}{from}", signal_name(signal.number), signal.tid.0)
}

/// `SIGSEGV`, or the number of a signal without a name.
pub(super) fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
}

/// `hit` is the signal that has hit it; `is_told` whether an interpreter could tell which threads are its own.
fn heading(thread: &ThreadDump, (hit, is_told): (Option<&Signal>, bool), style: Style) -> String {
    let mut facts = Vec::new();
    let identity = thread.identity.as_ref();
    if identity.is_some_and(|identity| identity.is_main) {
        facts.push("main".to_owned());
    }
    facts.extend(hit.map(|signal| signal_name(signal.number)));
    if is_told && !thread.is_python {
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
