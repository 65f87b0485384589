//! Screens, as text.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::cli::style::ColorArg;
use crate::cli::top::summary::{Shares, ThreadRow};
use crate::sampler::run_state::RunState;

fn summary() -> Summary {
    let row = |name: &str, place: &str, own: f64, total: f64| FunctionRow {
        name: name.into(),
        place: Some(place.into()),
        kind: Some(FrameKind::UserCode),
        own: Shares { now: own, overall: own / 2.0 },
        total: Shares { now: total, overall: total / 2.0 },
    };
    let frame = |name: &str| (name.to_owned(), Some(FrameKind::UserCode));
    let stack = |share, names: &[&str]| HotStack { share, frames: names.iter().map(|name| frame(name)).collect() };
    Summary {
        functions: vec![
            row("parse", "shop/orders.py:12", 0.25, 0.75),
            row("deflate", "libz.so.1", 0.5, 0.5),
            row("main", "shop/main.py:1", 0.0, 1.0),
        ],
        hot: vec![stack(0.5, &["deflate", "parse", "main"]), stack(0.25, &["parse", "main"]), stack(0.25, &["main"])],
        activity: Activity { cpu: 1.5, python: 1.0, native: 0.5, collecting: 0.0, waits_for_gil: 0.25 },
        threads: vec![ThreadRow { tid: 4711, name: Some("worker".into()), cpu: 1.0, mostly: RunState::Python }],
        elapsed: 12.34,
        ticks: 1_230,
        late: 4,
        left_out: 0,
        processes: 1,
        without_room: 0,
        sleepers_stopped: 0,
        ended: None,
    }
}

fn screen(columns: u16, rows: u16, summary: &Summary, state: &State) -> String {
    let header = Header { process: "4711 python3 -m shop".into(), version: "3.15.2".into() };
    let style = ColorArg::never().style();
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, &header, summary, state, style)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |row| (0..columns).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..rows).map(|row| line(row).trim_end().to_owned() + "\n").collect()
}

fn state() -> State {
    State::new(NativeFrames::None, false)
}

#[test]
fn a_screen_of_80_by_24_has_everything() {
    let expected = "\
12.3 s  1230 ticks (4 late)  CPython 3.15.2  4711 python3 -m shop
CPU 1.50 (Python 1.00, native 0.50, GC 0.00)  waits for GIL 0.25  threads 1
   self▼    total   ∑ self  ∑ total function
  50.0 %   50.0 %   25.0 %   25.0 % deflate (libz.so.1)
  25.0 %   75.0 %   12.5 %   37.5 % parse (shop/orders.py:12)
   0.0 %  100.0 %    0.0 %   50.0 % main (shop/main.py:1)











 stacks now with deflate, innermost first ──────────────────────────────────────
  50.0 % deflate ‹ parse ‹ main




q quit  s save  p pause  o order  / filter  n native  i idle  t thread  ? help
";
    assert_eq!(screen(80, 24, &summary(), &state()), expected);
}

#[test]
fn what_is_chosen_is_shown() {
    let shown = |change: &dyn Fn(&mut State)| {
        let mut state = state();
        change(&mut state);
        screen(120, 40, &summary(), &state)
    };
    assert!(shown(&|state| state.is_paused = true).starts_with("paused  12.3 s"));
    assert!(
        shown(&|state| state.wanted.thread = Some(4711)).contains("\nthread 4711 worker: mostly on CPU: Python  CPU")
    );
    assert!(shown(&|_| ()).contains("n native  i"));
    assert!(shown(&|state| state.wanted.native = NativeFrames::Calls).contains("n native=calls"));
    assert!(shown(&|state| state.wanted.native = NativeFrames::All).contains("n native=all"));
    assert!(shown(&|state| state.wanted.idle = true).contains("i idle=shown"));
    assert!(shown(&|state| state.sort = SortBy::TotalOverall).contains("∑ total▼"));
    assert!(shown(&|state| state.shows_help = true).contains("sampling goes on"));
    assert!(shown(&|state| state.message = Some("saved x".into())).ends_with("saved x\n"));
    assert!(shown(&|state| (state.is_typing, state.filter) = (true, "pa".into())).ends_with("filter: pa▏\n"));
    let filtered = shown(&|state| state.filter = "PARSE".into());
    assert!(!filtered.contains("libz") && filtered.contains("/ filter=PARSE"), "{filtered}");
    let marked = shown(&|state| state.selected = 1);
    assert!(marked.contains("stacks now with parse") && marked.contains("25.0 % parse ‹ main"), "{marked}");
}

#[test]
fn the_end_of_the_target_is_told() {
    let ended = Summary { ended: Some("the target has ended".into()), ..summary() };
    assert!(screen(80, 24, &ended, &state()).ends_with("the target has ended: s saves what was seen, q quits\n"));
}

#[test]
fn every_size_can_be_drawn() {
    let mut help = state();
    help.shows_help = true;
    for (columns, rows) in [(1, 1), (2, 3), (20, 5), (80, 15), (80, 16), (300, 100)] {
        for (summary, state) in [(summary(), state()), (Summary::default(), state()), (summary(), help.clone())] {
            screen(columns, rows, &summary, &state);
        }
    }
}

#[test]
fn nothing_that_a_terminal_obeys_is_drawn() {
    let mut summary = summary();
    let odd = "a\x1b[2J\u{9b}31m\u{202e}b\u{2066}\u{61c}\r\n";
    summary.functions[0].name = odd.to_owned();
    summary.hot[0].frames[0].0 = odd.to_owned();
    summary.ended = Some(odd.to_owned());
    let text = screen(80, 24, &summary, &State { filter: odd.to_owned(), message: Some(odd.to_owned()), ..state() });
    assert!(text.lines().all(|line| neutral(line) == line), "{text:?}");
}
