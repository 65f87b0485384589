//! A dump for people: each thread with its stack, innermost frame first, as debuggers list them.
//!
//! Does: lay it out. Does not: look at a process or a snapshot.

use std::collections::BTreeSet;

use super::look::{Dump, DumpedTarget, ThreadDump, ThreadStack};
use crate::cli::style::Style;
use crate::output::label::{LabelOptions, name_and_place};
use crate::profile::clean::one_line;
use crate::profile::frame::{Frame, FrameKind};
use crate::python::locals::Local;
use crate::sampler::run_state::RunState;

/// The text, with a line end behind each line.
pub fn write(dump: &Dump, style: Style) -> String {
    let mut lines = vec![
        match &dump.subject {
            DumpedTarget::Process(process, _) => {
                format!("Process {}: {}", process.pid, one_line(&process.command_line.join(" ")))
            }
            DumpedTarget::Snapshot(file, machine) => {
                format!("Snapshot {}: a thread on {}", one_line(&file.to_string_lossy()), machine.name())
            }
        },
        format!("CPython {}{} ({})", dump.version, threading(dump), one_line(&dump.interpreter)),
    ];
    for thread in &dump.threads {
        lines.push(String::new());
        lines.push(heading(thread, style));
        match &thread.stack {
            Ok(stack) => lines.extend(frames(stack, style)),
            Err(reason) => lines.push(format!("    [no stack: {}]", reason.reason())),
        }
    }
    lines.extend(legend(dump, style));
    lines.join("\n") + "\n"
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

fn frames(stack: &ThreadStack, style: Style) -> Vec<String> {
    if stack.frames.is_empty() {
        return vec!["    [no frames to show]".to_owned()];
    }
    let line = |(frame, locals): (&Frame, Option<&[Local]>)| {
        let (name, place) = name_and_place(frame, &LabelOptions::default());
        let place = place.map_or_else(String::new, |place| style.faint(&format!(" ({place})")));
        // The mark takes the place of a space, so that the text is at one column with and without it.
        let first = match style.mark(frame.kind) {
            mark if mark.is_empty() => format!("    {name}{place}"),
            mark => format!("  {mark} {name}{place}"),
        };
        let local = |local: &Local| format!("        {} = {}", one_line(&local.name), one_line(&local.value));
        [first].into_iter().chain(locals.unwrap_or_default().iter().map(local)).collect::<Vec<_>>()
    };
    stack.frames_and_locals().flat_map(line).collect()
}

/// What the colours mean, of the kinds that occur.
fn legend(dump: &Dump, style: Style) -> Vec<String> {
    let stacks = dump.threads.iter().filter_map(|thread| thread.stack.as_ref().ok());
    let kinds: BTreeSet<FrameKind> = stacks.flat_map(|stack| &stack.frames).map(|frame| frame.kind).collect();
    if !style.has_colors() || kinds.is_empty() {
        return Vec::new();
    }
    let entry = |kind: FrameKind| format!("{} {}", style.mark(kind), kind.description());
    vec![String::new(), kinds.into_iter().map(entry).collect::<Vec<_>>().join("  ")]
}
