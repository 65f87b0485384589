//! What the user has chosen, and what keys do.
//!
//! Does: change the choice. Does not: read keys, or act on what is asked for beyond it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::summary::{SortBy, Summary, Wanted};
use crate::symbolize::names::NativeFrames;

/// What a key asks for beyond a change of the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Nothing.
    None,
    /// The end.
    Quit,
    /// What was seen shall be kept in a file.
    Save,
}

/// The choice.
#[derive(Debug, Clone)]
pub struct State {
    /// What is summed up.
    pub wanted: Wanted,
    /// The column that rows are sorted by.
    pub sort: SortBy,
    /// The text that functions must have.
    pub filter: String,
    /// Whether keys write the filter.
    pub is_typing: bool,
    /// Whether the screen stands still.
    pub is_paused: bool,
    /// The row that is marked.
    pub selected: usize,
    /// Whether the keys are shown.
    pub shows_help: bool,
    /// What was done last, for the last line.
    pub message: Option<String>,
}

impl State {
    /// As it is at the beginning.
    pub fn new(native: NativeFrames, idle: bool) -> State {
        State {
            wanted: Wanted { native, idle, thread: None },
            sort: SortBy::OwnNow,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            selected: 0,
            shows_help: false,
            message: None,
        }
    }

    /// What a key does.
    pub fn press(&mut self, key: KeyEvent, shown: &Summary) -> Request {
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Request::Quit } else { Request::None };
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Request::None;
        }
        match key.code {
            KeyCode::Char('q') => return Request::Quit,
            KeyCode::Esc if self.shows_help => self.shows_help = false,
            KeyCode::Esc if !self.filter.is_empty() => self.filter.clear(),
            KeyCode::Char('s') => return Request::Save,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('n') => {
                self.wanted.native = match self.wanted.native {
                    NativeFrames::Calls => NativeFrames::All,
                    NativeFrames::All => NativeFrames::None,
                    NativeFrames::None => NativeFrames::Calls,
                }
            }
            KeyCode::Char('i') => self.wanted.idle = !self.wanted.idle,
            KeyCode::Char('t') => self.wanted.thread = next_thread(self.wanted.thread, shown),
            KeyCode::Char('o') | KeyCode::Tab => self.sort = self.sort.next(),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('?' | 'h') => self.shows_help = !self.shows_help,
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.selected = self.selected.saturating_add(1),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(10),
            KeyCode::PageDown => self.selected = self.selected.saturating_add(10),
            KeyCode::Home => self.selected = 0,
            _ => {}
        }
        let rows = shown.sorted(self.sort, &self.filter).len();
        self.selected = self.selected.min(rows.saturating_sub(1));
        Request::None
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_typing = false;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
        self.selected = 0;
    }
}

/// The thread behind the one that is shown, the busiest first, and all of them behind the last.
fn next_thread(current: Option<i32>, shown: &Summary) -> Option<i32> {
    let tids: Vec<i32> = shown.threads.iter().map(|thread| thread.tid).collect();
    match current {
        None => tids.first().copied(),
        Some(tid) => tids.iter().position(|other| *other == tid).and_then(|index| tids.get(index + 1)).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::summary::{FunctionRow, Shares, ThreadRow};
    use crate::sampler::run_state::RunState;

    fn summary() -> Summary {
        let row = |name: &str, own: f64, total: f64| FunctionRow {
            name: name.into(),
            place: Some("app.py".into()),
            kind: None,
            own: Shares { now: own, overall: total },
            total: Shares { now: total, overall: own },
        };
        let thread = |tid| ThreadRow { tid, name: None, cpu: 0.5, mostly: RunState::Unknown };
        Summary {
            functions: vec![row("work", 0.2, 0.9), row("parse", 0.7, 0.7), row("main", 0.0, 1.0)],
            threads: vec![thread(7), thread(9)],
            ..Summary::default()
        }
    }

    fn press(state: &mut State, keys: &str) -> Request {
        let shown = summary();
        let mut last = Request::None;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\x08' => KeyCode::Backspace,
                '\x1b' => KeyCode::Esc,
                '↓' => KeyCode::Down,
                '↑' => KeyCode::Up,
                key => KeyCode::Char(key),
            };
            last = state.press(KeyEvent::from(code), &shown);
        }
        last
    }

    fn names(state: &State) -> Vec<String> {
        summary().sorted(state.sort, &state.filter).iter().map(|row| row.name.clone()).collect()
    }

    #[test]
    fn rows_are_sorted_by_each_column_in_turn() {
        let mut state = State::new(NativeFrames::Calls, false);
        assert_eq!(names(&state), ["parse", "work", "main"]);
        press(&mut state, "o");
        assert_eq!(names(&state), ["main", "work", "parse"]);
        press(&mut state, "oo");
        assert_eq!(names(&state), ["parse", "work", "main"]);
        press(&mut state, "o");
        assert_eq!(state.sort, SortBy::OwnNow);
    }

    #[test]
    fn a_filter_is_typed_and_keys_are_text_meanwhile() {
        let mut state = State::new(NativeFrames::Calls, false);
        assert_eq!(press(&mut state, "/qars\x08"), Request::None);
        assert_eq!((state.filter.as_str(), state.is_typing), ("qar", true));
        press(&mut state, "\x08\x08\x08PAR\n");
        assert_eq!((names(&state), state.is_typing), (vec!["parse".to_owned()], false));
        press(&mut state, "\x1b");
        assert_eq!(names(&state).len(), 3);
        press(&mut state, "/x\x1b");
        assert_eq!((state.filter.as_str(), state.is_typing), ("", false));
        press(&mut state, "/app.py\n");
        assert_eq!(names(&state).len(), 3, "places are searched, too");
    }

    #[test]
    fn keys_choose_what_is_shown() {
        let mut state = State::new(NativeFrames::Calls, false);
        press(&mut state, "n");
        assert_eq!(state.wanted.native, NativeFrames::All);
        press(&mut state, "nn");
        assert_eq!(state.wanted.native, NativeFrames::Calls);
        let threads = ["t", "t", "t"].map(|key| {
            press(&mut state, key);
            state.wanted.thread
        });
        assert_eq!(threads, [Some(7), Some(9), None]);
        press(&mut state, "pi");
        assert!(state.is_paused && state.wanted.idle);
        assert_eq!((press(&mut state, "s"), press(&mut state, "q")), (Request::Save, Request::Quit));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(state.press(interrupt, &summary()), Request::Quit);
    }

    #[test]
    fn the_mark_stays_on_a_row() {
        let mut state = State::new(NativeFrames::Calls, false);
        press(&mut state, "↓↓↓↓↓↓");
        assert_eq!(state.selected, 2);
        press(&mut state, "↑");
        assert_eq!(state.selected, 1);
    }
}
