//! A watchdog, which continues this process when it is stopped while it holds a thread.
//!
//! SIGSTOP cannot be caught, and a thread that comes to its stop while its tracer is stopped stands still for as long. So a timer runs from
//! the moment on at which a stop is asked for, until nothing is held. The tracer puts it off all the time. When it does not, the kernel
//! sends SIGCONT, which continues a stopped process even where it is blocked (signal(7); `prepare_signal` in the kernel's kernel/signal.c).
//! The tracer then lets go, and its process is to be stopped again.
//!
//! Unless somebody else has continued it, too. That is told by another SIGCONT, which is pending all the time, blocked in all threads:
//! the kernel drops it when a signal comes that stops the process, and the SIGCONT of who continues the process takes its place. The
//! timer's is for the first thread alone, and pending for no other.
//!
//! Does: this, for the threads of a process that ask for it, where the kernel lets them. Does not: let go of a thread, or stop the process.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::getpid;

/// A tracer that has not put the timer off for so long is stopped, or gets no CPU. It sleeps for some milliseconds at most.
const PATIENCE: Duration = Duration::from_millis(50);
/// The timer is put off no more often than this: it takes a system call.
const PUT_OFF_EVERY: Duration = Duration::from_millis(25);
/// After a rest that was shorter than this the timer runs on through the next one, in which nothing is held: to stop it and to start it again
/// takes two system calls. If it runs out meanwhile, a signal that is pending anyway is pending once more.
const SHORT_REST: Duration = Duration::from_millis(25);

thread_local! {
    /// The watchdog of the calling thread, if it has one: ptrace(2) belongs to threads, too.
    static WATCHDOG: RefCell<Option<Watchdog>> = const { RefCell::new(None) };
}

/// Leaves SIGCONT to watchdogs: blocks it in the calling thread, and so in those that it starts from here on.
pub fn block_sigcont() {
    // Where that is refused there is no watchdog.
    let _ = SigSet::from(Signal::SIGCONT).thread_block();
}

/// Has a SIGCONT pending from here on. Returns whether threads of this process can have a watchdog: only when all of them block SIGCONT.
pub fn prepare() -> bool {
    block_sigcont();
    is_blocked_everywhere().unwrap_or(false) && kill(getpid(), Signal::SIGCONT).is_ok()
}

/// Gives the calling thread a watchdog, until it ends. See [`prepare`].
pub fn start() {
    WATCHDOG.set(Watchdog::new().ok());
}

/// Tells that the calling thread is about to ask for a stop, or holds a thread and still runs.
pub fn put_off() {
    WATCHDOG.with_borrow_mut(|watchdog| watchdog.as_mut().map(Watchdog::put_off));
}

/// Tells that the calling thread holds nothing any more.
pub fn rest() {
    WATCHDOG.with_borrow_mut(|watchdog| watchdog.as_mut().map(Watchdog::rest));
}

/// Whether this process was stopped, and runs only because the watchdog of the calling thread has continued it.
pub fn has_continued_us() -> bool {
    WATCHDOG.with_borrow_mut(|watchdog| watchdog.as_mut().is_some_and(Watchdog::has_continued_us))
}

/// Whether somebody has continued this process since it was sent a signal that stops it. False where the calling thread has no watchdog.
pub fn is_continued() -> bool {
    WATCHDOG.with_borrow(|watchdog| watchdog.as_ref().is_some_and(Watchdog::is_continued))
}

/// Whether all threads of this process block SIGCONT: one that does not would take it, and it would be pending no more.
fn is_blocked_everywhere() -> io::Result<bool> {
    let bit = 1 << (Signal::SIGCONT as u32 - 1);
    for task in fs::read_dir("/proc/self/task")? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        if blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & bit == 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The watchdog of one thread.
#[derive(Debug)]
struct Watchdog {
    timer: libc::timer_t,
    /// Tells which signals are pending; nothing is read from it.
    pending: SignalFd,
    /// When the timer was put off last, while it runs.
    put_off_at: Option<Instant>,
    /// When the rest began that lasts, while the timer runs or has run.
    rests_since: Option<Instant>,
    /// Whether the last rest was a short one.
    rests_are_short: bool,
    /// Whether it has run out since that was asked last.
    has_run_out: bool,
}

impl Watchdog {
    fn new() -> io::Result<Watchdog> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let pending = SignalFd::with_flags(&SigSet::from(Signal::SIGCONT), flags)?;
        let timer = new_timer()?;
        Ok(Watchdog { timer, pending, put_off_at: None, rests_since: None, rests_are_short: false, has_run_out: false })
    }

    fn put_off(&mut self) {
        if let Some(since) = self.rests_since.take() {
            self.rests_are_short = since.elapsed() < SHORT_REST;
        }
        if self.put_off_at.is_none_or(|at| at.elapsed() >= PUT_OFF_EVERY) {
            let before = self.put_off_at.replace(Instant::now());
            self.set(PATIENCE);
            self.look(before);
        }
    }

    fn rest(&mut self) {
        if self.put_off_at.is_none() || self.rests_since.is_some() {
            return;
        }
        self.rests_since = Some(Instant::now());
        if !self.rests_are_short {
            self.set(Duration::ZERO);
            let before = self.put_off_at.take();
            self.look(before);
        }
    }

    /// Takes note of whether the timer has run out that was put off then. It has begun later.
    fn look(&mut self, put_off_at: Option<Instant>) {
        self.has_run_out |= put_off_at.is_some_and(|at| at.elapsed() >= PATIENCE);
    }

    fn has_continued_us(&mut self) -> bool {
        self.look(self.put_off_at);
        // One that gets no CPU for as long was not stopped.
        std::mem::take(&mut self.has_run_out) && !self.is_continued()
    }

    fn is_continued(&self) -> bool {
        let mut pending = [PollFd::new(self.pending.as_fd(), PollFlags::POLLIN)];
        // Who cannot tell stops nothing.
        poll(&mut pending, PollTimeout::ZERO).map_or(true, |ready| ready > 0)
    }

    /// Has the timer run out after so long; never after zero.
    fn set(&self, after: Duration) {
        let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let after = libc::timespec { tv_sec: after.as_secs().cast_signed(), tv_nsec: after.subsec_nanos().into() };
        let setting = libc::itimerspec { it_interval: once, it_value: after };
        // SAFETY: the timer is ours until it is dropped; `setting` outlives the call, which only reads it.
        unsafe { libc::timer_settime(self.timer, 0, &raw const setting, std::ptr::null_mut()) };
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // SAFETY: the timer is ours, and nobody uses it after this.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// A timer that does not run yet, and sends SIGCONT to the first thread of this process when it has run out.
fn new_timer() -> io::Result<libc::timer_t> {
    // SAFETY: all of its fields may be zero.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = libc::SIGCONT;
    event.sigev_notify_thread_id = getpid().as_raw();
    let mut timer = std::ptr::null_mut();
    // SAFETY: both structures outlive the call; the first is only read, the second written.
    match unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } {
        0 => Ok(timer),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_put_off_in_time_or_rests_has_not_run_out() {
        let mut watchdog = Watchdog::new().unwrap();
        watchdog.rest();
        let began = Instant::now();
        watchdog.put_off();
        watchdog.rest();
        let was_in_time = began.elapsed() < PATIENCE;
        std::thread::sleep(PATIENCE);
        watchdog.look(watchdog.put_off_at);
        assert!(!was_in_time || !watchdog.has_run_out);
    }

    #[test]
    fn through_short_rests_it_runs_on_and_after_a_long_one_it_does_not() {
        let mut watchdog = Watchdog::new().unwrap();
        let short_rest = |watchdog: &mut Watchdog| {
            let began = Instant::now();
            watchdog.rest();
            watchdog.put_off();
            began.elapsed() < SHORT_REST
        };
        watchdog.put_off();
        while !short_rest(&mut watchdog) {}
        watchdog.rest();
        assert!(watchdog.put_off_at.is_some());
        std::thread::sleep(SHORT_REST);
        watchdog.put_off();
        watchdog.rest();
        assert!(watchdog.put_off_at.is_none());
    }

    #[test]
    fn one_that_has_run_out_is_told_once_also_when_it_is_put_off_since() {
        let mut watchdog = Watchdog::new().unwrap();
        for since in [Watchdog::put_off, Watchdog::rest] {
            watchdog.put_off();
            std::thread::sleep(PATIENCE);
            since(&mut watchdog);
            assert!(watchdog.has_run_out);
            watchdog.has_continued_us();
            assert!(!watchdog.has_run_out);
        }
    }

    #[test]
    fn a_thread_that_asks_for_none_has_none() {
        put_off();
        rest();
        assert!(!has_continued_us() && !is_continued());
    }
}
