//! `fpprof top`: what a process does, live.
//!
//! Does: the order of things: get hold of the target, sample it on one thread, sum up on another, draw and read keys on this one.
//! The sampling is that of `record`, into a temporary recording; see `watch`. Does not: any of them itself.

pub mod args;
mod model;
mod state;
mod summary;
mod view;
mod watch;

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use self::args::TopArgs;
use self::state::{Request, State};
use self::summary::Summary;
use self::view::Header;
use self::watch::{News, Order, Watch};
use super::failure::Failure;
use super::messages::say;
use super::opening::{self, Opened, program_name};
use super::record::job::{limits, not_kept};
use super::record::output_file::default_name;
use super::record::progress::Progress;
use super::record::signals::{Suspension, Wishes, stop_on_signals};
use super::record::{report, stream};
use super::style::Style;
use crate::profile::clean::one_line;
use crate::record::facts::first_facts;
use crate::record::interim::temporary_file;
use crate::record::plan::{Counts, Ended, Plan};
use crate::record::program::StackLabels;
use crate::record::recorder;
use crate::record::requests::Requests;
use crate::sampler::clock::Intervals;
use crate::sampler::mode::Mode;
use crate::target::launch::ProgramOutput;
use crate::target::memory_budget;
use crate::target::view::Identity;

/// How long to wait for a key until it is looked for news: a screen that changes more often is not read better.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The threads that take memory.
const SAMPLING_AND_SUMMING_UP: u64 = 2;
/// Said once, until a key is pressed; it has to fit into 80 columns.
const SLEEPERS_STOPPED: &str = "blocked threads are stopped to be read: no CAP_DAC_READ_SEARCH  (? help)";

/// Runs the command.
///
/// # Errors
/// Why there is nothing to watch, or no terminal.
pub fn run(args: &TopArgs) -> Result<ExitCode, Failure> {
    args.memory.apply_beside_a_target();
    memory_budget::set_takers(SAMPLING_AND_SUMMING_UP);
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::new("`fpprof top` needs a terminal, and this is none")
            .with_hint("`fpprof dump` shows a process once, and `fpprof record` writes a profile of it."));
    }
    let Wishes { stop, .. } = stop_on_signals()?;
    let program = (&*args.program, ProgramOutput::Discarded);
    let opened = opening::open((args.pid, &args.follow), program, Mode::Wall, &stop)?;
    let Opened { session, follower, mut launched } = opened;
    Suspension::leave_sigcont_to_recording();
    let plan = Plan {
        rate: args.rate,
        duration: None,
        mode: Mode::Wall,
        intervals: Intervals::Poisson,
        labels: StackLabels::default(),
        limits: limits(args.max_overhead),
    };
    let file = temporary_file().map_err(not_kept)?;
    let stream = stream(file.try_clone().map_err(not_kept)?, &first_facts(&session, &plan, SystemTime::now()))?
        .every(watch::EVERY);
    let process = session.identity().clone();
    let header = Header {
        process: format!("{} {}", process.pid, one_line(&process.command_line.join(" "))),
        version: session.reader.found.interpreter.version.to_string(),
    };
    let state = State::new(args.native, args.idle);
    let counts = Arc::new(Mutex::new(Counts::default()));
    let watch = Watch::new(file, (session.reader.root(), process.namespace_pid), Arc::clone(&counts), state.wanted);
    let ended = thread::scope(|scope| {
        let ((orders, ordered), (telling, news)) = (channel(), sync_channel(2));
        let (stop, launched) = (&*stop, &mut launched);
        let suspend = AtomicBool::new(false);
        let recording = scope.spawn(move || {
            recorder::record(
                plan,
                Requests { stop, suspend: Some(&suspend) },
                Some(stream),
                (session, follower),
                launched,
                &mut Progress::counted(counts),
            )
        });
        scope.spawn(move || watch.run(&ordered, &telling));
        let screen = Screen { header, process, style: args.color.style(), orders, news, stop };
        // The screen's ends of the channels are gone with it, which ends the other thread.
        let shown = screen.show(state, || recording.is_finished());
        stop.store(true, Ordering::Relaxed);
        let recording = recording.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        shown.and(recording.map(|recording| recording.ended))
    });
    let ended = ended.map_err(|error| {
        Failure::new(format_args!("the terminal cannot be used: {error}"))
            .with_hint("`fpprof record` needs no terminal, and `fpprof report` shows what it wrote.")
    })?;
    let has_ended = launched.as_mut().is_some_and(|launched| launched.status().is_some());
    if ended == Ended::TargetGone || has_ended {
        say("fpprof: the target has ended");
    } else if let Some(launched) = launched {
        report::print_runs_on(&program_name(&args.program), launched.pid());
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether nobody has the other end of the terminal any more: an emulator that was closed, a connection that has ended. Where it controls us, SIGHUP says the
/// same, if that is not ignored.
fn is_gone() -> bool {
    let (keys, screen) = (io::stdin(), io::stdout());
    let mut ends = [keys.as_fd(), screen.as_fd()].map(|end| PollFd::new(end, PollFlags::empty()));
    let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
    poll(&mut ends, PollTimeout::ZERO).is_ok()
        && ends.iter().any(|end| end.revents().is_some_and(|events| events.intersects(hung_up)))
}

/// The terminal, and what is shown there.
struct Screen<'a> {
    header: Header,
    process: Identity,
    style: Style,
    orders: Sender<Order>,
    news: Receiver<News>,
    stop: &'a AtomicBool,
}

impl Screen<'_> {
    /// Shows news and does what keys say, until the user or a signal ends it. The terminal is restored however this ends: by
    /// ratatui's panic hook, too.
    fn show(self, state: State, is_over: impl Fn() -> bool) -> io::Result<()> {
        let mut terminal = ratatui::try_init()?;
        let result = self.run(&mut terminal, state, is_over);
        if is_gone() {
            // It has no cursor to show any more, and ratatui would complain of that on standard error, which is gone, too, and panic.
            std::mem::forget(terminal);
            let _ = ratatui::try_restore();
            return Ok(());
        }
        ratatui::try_restore().and(result)
    }

    fn run(self, terminal: &mut DefaultTerminal, mut state: State, is_over: impl Fn() -> bool) -> io::Result<()> {
        let (mut latest, mut shown) = (Summary::default(), Summary::default());
        let mut is_stale = true;
        while !self.stop.load(Ordering::Relaxed) && !is_gone() {
            for news in self.news.try_iter() {
                is_stale = true;
                match news {
                    News::Summary(summary) => {
                        if summary.sleepers_stopped > 0 && latest.sleepers_stopped == 0 {
                            state.message = Some(SLEEPERS_STOPPED.to_owned());
                        }
                        latest = *summary;
                    }
                    News::Saved(message) => state.message = Some(message),
                }
            }
            if is_over() && latest.ended.is_none() {
                (latest.ended, is_stale) = (Some("the target has ended".to_owned()), true);
            }
            if is_stale {
                if !state.is_paused {
                    shown = latest.clone();
                }
                terminal.draw(|frame| view::draw(frame, &self.header, &shown, &state, self.style))?;
                is_stale = false;
            }
            if !event::poll(LOOK_EVERY)? {
                continue;
            }
            is_stale = true;
            // Anything else is a new size.
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            let before = state.wanted;
            match state.press(key, &shown) {
                Request::Quit => return Ok(()),
                Request::Save => self.order(Order::Save(self.file_name())),
                Request::None if state.wanted != before => self.order(Order::Show(state.wanted)),
                Request::None => {}
            }
        }
        Ok(())
    }

    /// One that sums up no more has said why.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    fn file_name(&self) -> PathBuf {
        default_name(&self.process.program_name(), self.process.pid, SystemTime::now(), "fpprof")
    }
}
