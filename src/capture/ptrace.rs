//! The ptrace(2) calls that stop one thread, read its registers and let it run on.
//!
//! Does: hold a thread stopped for the life of a [`Stop`], which detaches when it is dropped; pass on a signal
//! that arrived meanwhile; find out whether a thread may be traced without stopping it. All of this folder's `unsafe` but
//! for a timer's.
//! Does not: write to the target, decide when to stop it, or read its memory.
//!
//! No wait is without an end. nix's wrappers are not used for waiting: its `waitpid` cannot represent a stop by a real-time signal, and the
//! signal would be lost.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use crate::types::{Pid, Tid};

/// `PTRACE_EVENT_STOP` (linux/ptrace.h): the stop that PTRACE_INTERRUPT asks for, and group stops.
const EVENT_STOP: i32 = 128;

/// How long a thread that was killed may take to end.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a child of our own that does nothing may take to stop, on a full machine.
const CHILD_PATIENCE: Duration = Duration::from_secs(1);
/// No sleep lasts longer: where another thread of ours takes signals, it may have taken the one that would have ended it.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Why a thread could not be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// The thread is gone.
    #[error("the thread has ended")]
    Gone,
    /// The thread has just ended, and telling so has consumed this wait status (it matters for our own children).
    #[error("the thread has ended")]
    Exited(i32),
    /// The system forbids it, or another program traces the thread.
    #[error("the thread may not be traced")]
    Denied,
    /// Anything else.
    #[error("the thread cannot be stopped: {0}")]
    System(Errno),
}

/// How to wait for the stop. Each wait has an end: the stop of a thread that waits for a CPU, for a page, or for the child that it
/// has made with vfork(2), may take long to come, or never come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Look again and again for so long: the shortest where the thread runs on another CPU, because waking a sleeping tracer
    /// takes longer than the whole stop.
    SpinFor(Duration),
    /// Sleep at once, for so long at most: where the thread shares our CPU it cannot reach its stop while we spin on it.
    SleepFor(Duration),
}

/// A thread that was asked to stop. Its stop may come at any time, also while nobody waits for it, and then the thread stands
/// still until this is made a [`Stop`] or dropped.
///
/// Only a thread that has stopped can be detached from (ptrace(2)). Dropping this waits a moment for the stop; a thread whose stop
/// does not come is let go when the calling thread asks another, or ends.
#[derive(Debug)]
pub struct Asked {
    process: libc::pid_t,
    tid: libc::pid_t,
    /// What has come of it.
    answer: Option<Result<i32, StopError>>,
}

impl Asked {
    /// Attaches to a thread and asks it to stop.
    ///
    /// # Errors
    /// See [`StopError`]. After an error the thread is not traced.
    pub fn new(process: Pid, tid: Tid) -> Result<Asked, StopError> {
        let (process, tid) = (process.0, tid.0);
        let_go_of_late_ones();
        seize(tid)?;
        if let Err(error) = interrupt(tid) {
            let_go_after_exec(process, tid);
            return Err(error);
        }
        Ok(Asked { process, tid, answer: None })
    }

    /// Whether there is an answer: it has stopped, or ended.
    pub fn has_come(&mut self) -> bool {
        if self.answer.is_none() {
            self.answer = wait_once(self.tid, libc::WNOHANG).transpose();
            if matches!(self.answer, Some(Err(_))) {
                let_go_after_exec(self.process, self.tid);
            }
        }
        self.answer.is_some()
    }

    /// Waits. Returns whether there is an answer.
    pub fn wait(&mut self, wait: Wait) -> bool {
        let start = Instant::now();
        match wait {
            Wait::SpinFor(limit) => {
                while !self.has_come() && start.elapsed() < limit {
                    std::hint::spin_loop();
                }
            }
            Wait::SleepFor(limit) => {
                while !self.has_come() && start.elapsed() < limit {
                    sleep_until_a_stop(limit.saturating_sub(start.elapsed()), || self.has_come());
                }
            }
        }
        self.has_come()
    }

    /// The stop that has come; `None` if there is no answer yet, and then the thread is let go as when this is dropped.
    ///
    /// # Errors
    /// When the thread has ended instead.
    pub fn into_stop(mut self) -> Result<Option<Stop>, StopError> {
        match self.answer.take() {
            None => Ok(None),
            answer @ Some(_) => {
                let tid = self.tid;
                std::mem::forget(self);
                answer.transpose()?.map(|status| Stop::of(tid, status)).transpose()
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        match self.answer {
            None => let_go(self.process, self.tid),
            Some(Ok(status)) if libc::WIFSTOPPED(status) => drop(Stop::of(self.tid, status)),
            Some(_) => {}
        }
    }
}

/// Sleeps until a thread that was asked to stop has done so, a signal arrives, or the time is over, and not for longer than
/// some milliseconds. `has_come` is asked whether it has already.
///
/// The kernel tells a tracer of each stop by SIGCHLD, which nobody gets who has no handler for it unless it is blocked (signal(7)).
pub fn sleep_until_a_stop(limit: Duration, mut has_come: impl FnMut() -> bool) {
    let limit = limit.min(LONGEST_SLEEP);
    let told = SigSet::from(Signal::SIGCHLD);
    let Ok(before) = told.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return std::thread::sleep(limit) };
    if !has_come() {
        let limit = libc::timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: i64::from(limit.subsec_nanos()) };
        // SAFETY: both structures outlive the call, which only reads them; nothing is to be told of the signal.
        unsafe { libc::sigtimedwait(told.as_ref(), std::ptr::null_mut(), &raw const limit) };
    }
    // The mask was valid a moment ago.
    let _ = before.thread_set_mask();
}

/// A stopped thread. Dropping it lets the thread run on, untraced.
#[derive(Debug)]
pub struct Stop {
    tid: libc::pid_t,
    /// A signal whose delivery the stop has held up, to be passed on.
    signal: libc::c_int,
    /// ptrace belongs to the thread that attached: a `Stop` must not move to another.
    not_send: PhantomData<*const ()>,
}

impl Stop {
    /// Attaches to a thread and waits until it stands still; `None` when it does not in that time: see [`Asked`].
    ///
    /// # Errors
    /// See [`StopError`]. After an error the thread is not traced.
    pub fn new(process: Pid, tid: Tid, wait: Wait) -> Result<Option<Stop>, StopError> {
        let mut asked = Asked::new(process, tid)?;
        asked.wait(wait);
        asked.into_stop()
    }

    /// The stop of a thread with this wait status.
    fn of(tid: libc::pid_t, status: i32) -> Result<Stop, StopError> {
        if !libc::WIFSTOPPED(status) {
            return Err(StopError::Exited(status));
        }
        // A stop that is no event is the delivery of a signal, which must go on (ptrace(2), signal-delivery-stop).
        let signal = if status >> 16 == EVENT_STOP { 0 } else { libc::WSTOPSIG(status) };
        Ok(Stop { tid, signal, not_send: PhantomData })
    }

    /// Lets the thread run on. Returns its wait status if it was killed meanwhile.
    pub fn resume(self) -> Option<i32> {
        let stop = ManuallyDrop::new(self);
        detach(stop.tid, stop.signal)
    }

    /// Whether the stop is the delivery of a signal, rather than the one that was asked for.
    pub fn holds_signal(&self) -> bool {
        self.signal != 0
    }

    /// The general registers, as the kernel lays them out (`NT_PRSTATUS`); the bytes that were filled.
    ///
    /// # Errors
    /// When the thread was killed meanwhile.
    pub fn general_registers<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], StopError> {
        self.register_set(libc::NT_PRSTATUS, buffer)
    }

    /// A register set by its number (`NT_…` in linux/elf.h), as the kernel lays it out; the bytes that were filled.
    ///
    /// # Errors
    /// [`StopError::System`] with EINVAL or ENODEV when the processor has no such registers; when the thread was killed
    /// meanwhile.
    pub fn register_set<'b>(&self, number: libc::c_int, buffer: &'b mut [u8]) -> Result<&'b [u8], StopError> {
        let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: `vector` describes `buffer`, which is writable for its whole length; the kernel fills at most
        // that and stores in `vector` how much it was.
        call(unsafe { libc::ptrace(libc::PTRACE_GETREGSET, self.tid, number, &raw mut vector) })?;
        let filled = vector.iov_len;
        Ok(buffer.get(..filled).unwrap_or_default())
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        detach(self.tid, self.signal);
    }
}

/// Detaches from a stopped thread. That fails only when the thread was killed: then its end is waited for, since nobody
/// else is told of it before its tracer, and its wait status given.
fn detach(tid: libc::pid_t, signal: libc::c_int) -> Option<i32> {
    // SAFETY: PTRACE_DETACH ignores the address; the data is a signal number.
    let result = unsafe { libc::ptrace(libc::PTRACE_DETACH, tid, 0, signal as libc::c_long) };
    if result == -1 { wait_at_most(tid, PATIENCE) } else { None }
}

fn let_go_after_exec(process: libc::pid_t, tid: libc::pid_t) {
    if has_become_first(process, tid) {
        let_go(process, process);
    }
}

/// Whether a thread whose number is gone has called execve(2): it is the process's first now, under its number, and stays traced.
fn has_become_first(process: libc::pid_t, tid: libc::pid_t) -> bool {
    tid != process && interrupt(process).is_ok()
}

/// A thread that this thread traces and whose stop it no longer waits for. Until it is let go it stands still when it comes to its stop;
/// and when it has ended, the end of its process is told to nobody else.
#[derive(Debug)]
struct Late {
    process: libc::pid_t,
    tid: libc::pid_t,
}

thread_local! {
    static LATE: RefCell<Vec<Late>> = const { RefCell::new(Vec::new()) };
}

/// Waits a moment for the stop that a thread was asked for, and detaches from it.
fn let_go(process: libc::pid_t, tid: libc::pid_t) {
    let (start, mut late) = (Instant::now(), Late { process, tid });
    while !late.has_been_let_go() {
        if start.elapsed() > PATIENCE {
            return LATE.with_borrow_mut(|all| all.push(late));
        }
        std::thread::yield_now();
    }
}

/// Lets go of the threads that have come to their stops, or ended, since the calling thread gave them up. To be called for as long as it
/// traces nobody else, too: what is not let go stands still.
pub fn let_go_of_late_ones() {
    LATE.with_borrow_mut(|all| all.retain_mut(|late| !late.has_been_let_go()));
}

/// Whether any is still to come.
pub(super) fn has_late_ones() -> bool {
    LATE.with_borrow(|late| !late.is_empty())
}

impl Late {
    /// Lets go of the thread if it has come to its stop. Returns whether it is traced no more.
    ///
    /// The end of a first thread is its process's, and is left to whom it concerns: our own child's status is told once.
    fn has_been_let_go(&mut self) -> bool {
        match if self.tid == self.process { stop_of(self.tid) } else { wait_once(self.tid, libc::WNOHANG) } {
            Ok(None) => false,
            Ok(Some(status)) => {
                drop(Stop::of(self.tid, status));
                true
            }
            Err(_) if has_become_first(self.process, self.tid) => {
                self.tid = self.process;
                false
            }
            Err(_) => true,
        }
    }
}

/// The next wait status of a thread, if there is one soon.
fn wait_at_most(tid: libc::pid_t, limit: Duration) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < limit {
        match wait_once(tid, libc::WNOHANG) {
            Ok(Some(status)) => return Some(status),
            Ok(None) => std::thread::yield_now(),
            Err(_) => return None,
        }
    }
    None
}

/// Whether the system lets us trace a thread, found out without stopping it, for a stop can end a system call early.
///
/// Only a stopped thread can be detached from; but a tracer that ends lets go of its threads in whatever state they
/// are (ptrace(2)). So a thread of our own attaches and ends. It has let go a moment after this returns.
///
/// # Errors
/// See [`StopError`].
pub fn may_trace(tid: Tid) -> Result<(), StopError> {
    let asker = std::thread::Builder::new().spawn(move || seize(tid.0));
    let asker =
        asker.map_err(|error| StopError::System(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EAGAIN))))?;
    asker.join().unwrap_or(Err(StopError::System(Errno::EAGAIN)))
}

/// Stops a child of our own that does nothing, asks `ask` about it, and ends it: for what the kernel says of every
/// process alike, and only of a stopped one. `None` when there can be no child.
pub fn ask_of_a_child<T>(ask: impl FnOnce(&Stop) -> Option<T>) -> Option<T> {
    // SAFETY: the child calls nothing but pause(2), which is safe after fork in a process with threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        loop {
            // SAFETY: pause has no arguments.
            unsafe { libc::pause() };
        }
    }
    if child < 0 {
        return None;
    }
    let stop = Stop::new(Pid(child), Tid(child), Wait::SleepFor(CHILD_PATIENCE));
    let answer = stop.ok().flatten().and_then(|stop| ask(&stop));
    // SAFETY: the child is ours and has not been waited for, so that its number is no other's.
    unsafe { libc::kill(child, libc::SIGKILL) };
    // Nothing holds up what was killed (signal(7)).
    while wait_once(child, 0).is_ok_and(|status| status.is_none_or(|status| libc::WIFSTOPPED(status))) {}
    answer
}

fn interrupt(tid: libc::pid_t) -> Result<(), StopError> {
    // SAFETY: PTRACE_INTERRUPT ignores both arguments.
    call(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0) })
}

fn seize(tid: libc::pid_t) -> Result<(), StopError> {
    // SAFETY: PTRACE_SEIZE takes no pointers (address 0, no options) and changes no memory of ours.
    call(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, 0, 0) })
}

fn wait_once(tid: libc::pid_t, flags: libc::c_int) -> Result<Option<i32>, StopError> {
    let mut status = 0;
    // SAFETY: `status` is writable and outlives the call.
    match unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | flags) } {
        0 => Ok(None),
        -1 if Errno::last() == Errno::EINTR => Ok(None),
        -1 => Err(StopError::Gone),
        _ => Ok(Some(status)),
    }
}

/// The wait status of a thread that has stopped, and of none that has ended.
fn stop_of(tid: libc::pid_t) -> Result<Option<i32>, StopError> {
    let id = libc::id_t::try_from(tid).map_err(|_| StopError::Gone)?;
    // SAFETY: all of its fields may be zero.
    let mut told: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `told` is writable and outlives the call.
    let result = unsafe { libc::waitid(libc::P_PID, id, &raw mut told, libc::WSTOPPED | libc::__WALL | libc::WNOHANG) };
    if result == -1 {
        return if Errno::last() == Errno::EINTR { Ok(None) } else { Err(StopError::Gone) };
    }
    // SAFETY: waitid(2) fills these fields, or leaves them zero where nothing has stopped.
    let (pid, status) = unsafe { (told.si_pid(), told.si_status()) };
    // As waitpid(2) tells it.
    Ok((pid != 0).then_some(status << 8 | 0x7f))
}

fn call(result: libc::c_long) -> Result<(), StopError> {
    if result != -1 {
        return Ok(());
    }
    Err(match Errno::last() {
        Errno::ESRCH => StopError::Gone,
        Errno::EPERM | Errno::EACCES => StopError::Denied,
        errno => StopError::System(errno),
    })
}
