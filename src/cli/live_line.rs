//! One line of a terminal that tells how far long work is.
//!
//! Does: rewrite it while the work goes on, beginning when the work has turned out to be long. Does not: write anything where there
//! is no terminal, or do the work.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::profile::steps::Steps;

/// Work that is done sooner needs no line.
const SHOW_AFTER: Duration = Duration::from_millis(500);
/// A line that changes faster cannot be read.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// What is being done.
#[derive(Debug, Default)]
struct Stage {
    what: &'static str,
    steps: Arc<Steps>,
}

/// A live line on standard error. It is gone when this value is.
#[derive(Debug)]
pub struct LiveLine {
    stage: Arc<Mutex<Stage>>,
    shows: Option<(Sender<()>, JoinHandle<()>)>,
}

impl LiveLine {
    /// A line, if it is wanted and standard error is a terminal. `note` stands behind each text.
    pub fn new(wanted: bool, note: &'static str) -> LiveLine {
        let stage = Arc::new(Mutex::new(Stage::default()));
        let shows = (wanted && io::stderr().is_terminal()).then(|| {
            let (sender, ended) = mpsc::channel();
            let stage = Arc::clone(&stage);
            let shown = thread::spawn(move || {
                let mut pause = SHOW_AFTER;
                // The sender is dropped when the line shall go.
                while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    let text = text(&stage.lock().unwrap_or_else(PoisonError::into_inner), note);
                    // A terminal that is gone is no reason to give the work up.
                    let _ = write!(io::stderr(), "\r{text}\x1b[K");
                    pause = SHOW_EVERY;
                }
                if pause == SHOW_EVERY {
                    let _ = write!(io::stderr(), "\r\x1b[K");
                }
            });
            (sender, shown)
        });
        LiveLine { stage, shows }
    }

    /// Says what begins now, and returns what counts its steps.
    pub fn begin(&self, what: &'static str) -> Arc<Steps> {
        let steps = Arc::new(Steps::default());
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Stage { what, steps: Arc::clone(&steps) };
        steps
    }

    /// Writes a line of its own, which stays.
    pub fn say(&self, text: impl Display) {
        let erase = if self.shows.is_some() { "\r\x1b[K" } else { "" };
        let _ = writeln!(io::stderr(), "{erase}{text}");
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if let Some((sender, shown)) = self.shows.take() {
            drop(sender);
            let _ = shown.join();
        }
    }
}

fn text(stage: &Stage, note: &str) -> String {
    let share = stage.steps.percent().map_or_else(String::new, |percent| format!(": {percent} %"));
    format!("{}{share}{note}", stage.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_done_and_how_far() {
        let line = LiveLine::new(false, " (Ctrl-C ends it)");
        let steps = line.begin("looking up names");
        let text = || text(&line.stage.lock().unwrap(), " (Ctrl-C ends it)");
        assert_eq!(text(), "looking up names (Ctrl-C ends it)");
        steps.expect(4);
        steps.advance(1);
        assert_eq!(text(), "looking up names: 25 % (Ctrl-C ends it)");
    }
}
