//! The screen.
//!
//! Does: draw what has been summed up. Does not: count, read keys, or set the terminal up.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style as TextStyle};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Table, TableState};

use super::state::State;
use super::summary::{Activity, FunctionRow, HotStack, SortBy, Summary};
use crate::cli::style::Style;
use crate::profile::clean::{neutral, one_line};
use crate::profile::frame::FrameKind;
use crate::symbolize::names::NativeFrames;

/// Screens with fewer lines have no pane of stacks.
const LINES_FOR_STACKS: u16 = 16;

/// The keys, for the last line and for help.
const KEYS: [(&str, &str, &str); 9] = [
    ("q", "quit", "end; what was not saved is gone"),
    ("s", "save", "keep what was seen in a recording, for `fpprof report`"),
    ("p", "pause", "let the screen stand still; sampling goes on"),
    ("o", "order", "sort by the next column"),
    ("/", "filter", "show functions with a text in their name or file; Esc ends it"),
    ("n", "native", "native functions by themselves: what Python calls, all; or in their callers"),
    ("i", "idle", "count threads that wait, too"),
    ("t", "thread", "show one thread, the next, all"),
    ("?", "help", "this; arrows and Page Up/Down mark a function, whose stacks are shown below"),
];

/// What is always the same.
#[derive(Debug, Clone)]
pub struct Header {
    /// The process, in one line.
    pub process: String,
    /// CPython's version.
    pub version: String,
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, header: &Header, shown: &Summary, state: &State, style: Style) {
    let area = frame.area();
    let stacks = if area.height >= LINES_FOR_STACKS { (area.height / 4).clamp(4, 10) } else { 0 };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(stacks),
        Constraint::Length(1),
    ]);
    let [title, activity, functions, stacks, keys] = parts.areas(area);
    frame.render_widget(title_line(header, shown, state), title);
    frame.render_widget(activity_line(shown, state), activity);
    let rows = shown.sorted(state.sort, &state.filter);
    draw_functions(frame, functions, &rows, state, style);
    draw_stacks(frame, stacks, shown, rows.get(state.selected).copied(), style);
    frame.render_widget(last_line(shown, state), keys);
    if state.shows_help {
        draw_help(frame, area);
    }
    neutralize(frame);
}

/// Takes out of all that was drawn what a terminal would obey, or turn the text around by: wherever names came from.
fn neutralize(frame: &mut Frame<'_>) {
    for cell in &mut frame.buffer_mut().content {
        if neutral(cell.symbol()) != cell.symbol() {
            let is_fit = |c: &char| neutral(c.encode_utf8(&mut [0; 4])).starts_with(*c);
            // What has no width of its own stands in the cell of what is before it.
            let fit: String = cell.symbol().chars().filter(is_fit).collect();
            cell.set_symbol(if fit.is_empty() { "\u{fffd}" } else { &fit });
        }
    }
}

fn title_line<'a>(header: &'a Header, shown: &Summary, state: &State) -> Line<'a> {
    let missed = [(shown.late, "late"), (shown.left_out, "left out"), (shown.without_room, "without room")]
        .into_iter()
        .filter(|(count, _)| *count > 0);
    let missed: Vec<String> = missed.map(|(count, how)| format!("{count} {how}")).collect();
    let missed = if missed.is_empty() { String::new() } else { format!(" ({})", missed.join(", ")) };
    let paused = if state.is_paused { "paused  " } else { "" };
    let processes = if shown.processes > 1 { format!("{} processes, ", shown.processes) } else { String::new() };
    let strong = TextStyle::new().add_modifier(Modifier::BOLD);
    Line::from(vec![
        Span::styled(paused, strong),
        Span::raw(format!("{:.1} s  {} ticks{missed}  CPython {}  ", shown.elapsed, shown.ticks, header.version)),
        Span::raw(processes),
        Span::styled(header.process.as_str(), strong),
    ])
}

fn activity_line(shown: &Summary, state: &State) -> Line<'static> {
    let Activity { cpu, python, native, collecting, waits_for_gil } = shown.activity;
    let mut text = format!(
        "CPU {cpu:.2} (Python {python:.2}, native {native:.2}, GC {collecting:.2})  waits for GIL {waits_for_gil:.2}  threads {}",
        shown.threads.len(),
    );
    if let Some(tid) = state.wanted.thread {
        let thread = shown.threads.iter().find(|thread| thread.tid == tid);
        let name = thread.and_then(|thread| thread.name.as_deref()).unwrap_or_default();
        let mostly = thread.map_or("not seen lately".to_owned(), |thread| thread.mostly.to_string());
        text = format!("thread {tid} {}: mostly {mostly}  {text}", one_line(name));
    }
    Line::from(text)
}

fn draw_functions(frame: &mut Frame<'_>, area: Rect, rows: &[&FunctionRow], state: &State, style: Style) {
    let column = |name: &str, by: SortBy| {
        let mark = if state.sort == by { "▼" } else { "" };
        Cell::from(Line::from(format!("{name}{mark}")).alignment(Alignment::Right))
    };
    let head = Row::new(vec![
        column("self", SortBy::OwnNow),
        column("total", SortBy::TotalNow),
        column("∑ self", SortBy::OwnOverall),
        column("∑ total", SortBy::TotalOverall),
        Cell::from("function"),
    ]);
    let share = |share: f64| Cell::from(Line::from(format!("{:.1} %", 100.0 * share)).alignment(Alignment::Right));
    let row = |row: &&FunctionRow| {
        let mut name = marked(row.kind, &row.name, style);
        if let Some(place) = &row.place {
            name.push(Span::styled(format!(" ({place})"), TextStyle::new().add_modifier(Modifier::DIM)));
        }
        let shares = [row.own.now, row.total.now, row.own.overall, row.total.overall].map(share);
        Row::new(shares.into_iter().chain([Cell::from(Line::from(name))]))
    };
    let widths = [8, 8, 8, 8].map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
    let table = Table::new(rows.iter().map(row), widths)
        .header(head.style(TextStyle::new().add_modifier(Modifier::UNDERLINED)))
        .row_highlight_style(TextStyle::new().add_modifier(Modifier::REVERSED));
    let mut position = TableState::new().with_selected((!rows.is_empty()).then_some(state.selected));
    frame.render_stateful_widget(table, area, &mut position);
}

/// The stacks with the marked function; without one, those seen most.
fn draw_stacks(frame: &mut Frame<'_>, area: Rect, shown: &Summary, marked_row: Option<&FunctionRow>, style: Style) {
    if area.height == 0 {
        return;
    }
    let has_it =
        |stack: &&HotStack| marked_row.is_none_or(|row| stack.frames.iter().any(|(name, _)| *name == row.name));
    let line = |stack: &HotStack| {
        let mut spans = vec![Span::raw(format!("{:>6.1} % ", 100.0 * stack.share))];
        for (index, (name, kind)) in stack.frames.iter().enumerate() {
            spans.push(Span::raw(if index == 0 { "" } else { " ‹ " }));
            spans.extend(marked(*kind, name, style));
        }
        Line::from(spans)
    };
    let title = match marked_row {
        Some(row) => format!(" stacks now with {}, innermost first ", row.name),
        None => " stacks now, innermost first ".to_owned(),
    };
    let block = Block::new().borders(Borders::TOP).title(title);
    let lines: Vec<Line<'_>> = shown.hot.iter().filter(has_it).map(line).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// A name with its kind's colour in front of it, as in dumps.
fn marked(kind: Option<FrameKind>, name: &str, style: Style) -> Vec<Span<'static>> {
    let color = kind.and_then(|kind| style.color(kind));
    let mark = color.map(|color| [Span::styled(" ", TextStyle::new().bg(color)), Span::raw(" ")]);
    mark.into_iter().flatten().chain([Span::raw(name.to_owned())]).collect()
}

fn last_line(shown: &Summary, state: &State) -> Line<'static> {
    if state.is_typing {
        return Line::from(format!("filter: {}▏", state.filter));
    }
    if let Some(message) = &state.message {
        return Line::from(message.clone());
    }
    if let Some(ended) = &shown.ended {
        return Line::from(format!("{ended}: s saves what was seen, q quits"));
    }
    let value = |key: &str| match key {
        "/" if !state.filter.is_empty() => format!("={}", state.filter),
        "n" if state.wanted.native == NativeFrames::All => "=all".to_owned(),
        "n" if state.wanted.native == NativeFrames::Calls => "=calls".to_owned(),
        "i" if state.wanted.idle => "=shown".to_owned(),
        _ => String::new(),
    };
    let key = |(key, name, _): &(&str, &str, &str)| {
        [
            Span::styled((*key).to_owned(), TextStyle::new().add_modifier(Modifier::BOLD)),
            Span::raw(format!(" {name}{}  ", value(key))),
        ]
    };
    Line::from(KEYS.iter().flat_map(key).collect::<Vec<_>>())
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = KEYS.iter().map(|(key, _, what)| Line::from(format!(" {key}  {what}"))).collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = 84.min(area.width);
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    let block = Block::new().borders(Borders::ALL).title(" keys ");
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

#[cfg(test)]
mod tests;
