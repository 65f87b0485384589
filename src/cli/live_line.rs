//! One line of a terminal that tells how far long work is.
//!
//! Does: rewrite it while the work goes on, on a thread of its own: a terminal that is held (Ctrl-S) holds no work up. Does not: write
//! anything where there is no terminal, or do the work.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::messages;
use crate::profile::clean::neutral;
use crate::profile::steps::Steps;

/// Work that is done sooner needs no line.
const SHOW_AFTER: Duration = Duration::from_millis(500);
/// A line that changes faster cannot be read.
const SHOW_EVERY: Duration = Duration::from_millis(250);
/// A terminal that has not taken a line for so long is held: the work goes on without it.
const HELD_AFTER: Duration = Duration::from_millis(250);

/// What is shown.
#[derive(Debug)]
enum Stage {
    /// What is being done, and how far it is.
    Counted { what: &'static str, steps: Arc<Steps> },
    /// A text; nothing when it is empty.
    Text(String),
}

/// What shows the line: it ends when the first is dropped, and the second when it has.
type Shows = (Sender<()>, Receiver<()>);

/// A live line on standard error. It is gone when this value is.
#[derive(Debug)]
pub struct LiveLine {
    stage: Arc<Mutex<Stage>>,
    shows: Option<Shows>,
}

impl LiveLine {
    /// A line, if it is wanted and standard error is a terminal, for work that may be over soon. `note` stands behind each text.
    pub fn new(wanted: bool, note: &'static str) -> LiveLine {
        LiveLine::after(SHOW_AFTER, wanted, note)
    }

    /// The same for work that is known to be long.
    pub fn at_once(wanted: bool) -> LiveLine {
        LiveLine::after(Duration::ZERO, wanted, "")
    }

    fn after(pause: Duration, wanted: bool, note: &'static str) -> LiveLine {
        let stage = Arc::new(Mutex::new(Stage::Text(String::new())));
        let shows = (wanted && io::stderr().is_terminal()).then(|| {
            let ((sender, ended), (gone, is_gone)) = (mpsc::channel(), mpsc::channel());
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                let _gone = gone;
                let (mut pause, mut is_shown) = (pause, false);
                // The sender is dropped when the line shall go.
                while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    let text = text(&stage.lock().unwrap_or_else(PoisonError::into_inner), note);
                    pause = SHOW_EVERY;
                    if text.is_empty() {
                        continue;
                    }
                    // A terminal that is gone is no reason to give the work up.
                    let _ = write!(io::stderr(), "\r{}\x1b[K", neutral(&text));
                    is_shown = true;
                }
                if is_shown {
                    let _ = write!(io::stderr(), "\r\x1b[K");
                }
            });
            (sender, is_gone)
        });
        LiveLine { stage, shows }
    }

    /// Says what begins now, and returns what counts its steps.
    pub fn begin(&self, what: &'static str) -> Arc<Steps> {
        let steps = Arc::new(Steps::default());
        self.show(Stage::Counted { what, steps: Arc::clone(&steps) });
        steps
    }

    /// Shows a text.
    pub fn set(&self, text: String) {
        self.show(Stage::Text(text));
    }

    fn show(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Writes a line of its own, which stays.
    pub fn say(&self, text: impl Display) {
        let erase = if self.shows.is_some() { "\r\x1b[K" } else { "" };
        let _ = write!(io::stderr(), "{erase}");
        messages::say(text);
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if let Some((sender, is_gone)) = self.shows.take() {
            drop(sender);
            let _ = is_gone.recv_timeout(HELD_AFTER);
        }
    }
}

fn text(stage: &Stage, note: &str) -> String {
    match stage {
        Stage::Counted { what, steps } => {
            let share = steps.percent().map_or_else(String::new, |percent| format!(": {percent} %"));
            format!("{what}{share}{note}")
        }
        Stage::Text(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_done_and_how_far() {
        let line = LiveLine::new(false, " (Ctrl-C ends it)");
        line.set("10 samples".to_owned());
        assert_eq!(text(&line.stage.lock().unwrap(), " (Ctrl-C ends it)"), "10 samples");
        let steps = line.begin("looking up names");
        let text = || text(&line.stage.lock().unwrap(), " (Ctrl-C ends it)");
        assert_eq!(text(), "looking up names (Ctrl-C ends it)");
        steps.expect(4);
        steps.advance(1);
        assert_eq!(text(), "looking up names: 25 % (Ctrl-C ends it)");
    }
}
