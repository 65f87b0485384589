//! The ptrace(2) calls that stop one thread, read its registers and let it run on.
//!
//! Does: hold a thread stopped for the life of a [`Stop`], which detaches when it is dropped; pass on a signal
//! that arrived meanwhile; find out whether a thread may be traced without stopping it. All of this folder's `unsafe`.
//! Does not: write to the target, decide when to stop it, or read its memory.
//!
//! nix's wrappers are not used for waiting: its `waitpid` cannot represent a stop by a real-time signal, and the
//! signal would be lost.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::types::{Pid, Tid};

/// `PTRACE_EVENT_STOP` (linux/ptrace.h): the stop that PTRACE_INTERRUPT asks for, and group stops.
const EVENT_STOP: i32 = 128;

/// How long a thread that was killed may take to end.
const PATIENCE: Duration = Duration::from_millis(100);

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

/// How to wait for the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Look again and again for so long, then sleep: the shortest where the thread runs on another CPU, because
    /// waking a sleeping tracer takes longer than the whole stop.
    SpinFor(Duration),
    /// Sleep at once: where the thread shares our CPU it cannot reach its stop while we spin on it.
    Sleep,
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
    /// Attaches to a thread and waits until it stands still.
    ///
    /// # Errors
    /// See [`StopError`]. After an error the thread is not traced.
    pub fn new(process: Pid, tid: Tid, wait: Wait) -> Result<Stop, StopError> {
        let tid = tid.0;
        seize(tid)?;
        let status = match interrupt(tid).and_then(|()| wait_for_change(tid, wait)) {
            Ok(status) => status,
            Err(error) => {
                // A thread that calls execve(2) becomes the process's first, under its number, and stays traced.
                if tid != process.0 && interrupt(process.0).is_ok() {
                    let_go(process.0, 0);
                }
                return Err(error);
            }
        };
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

/// Waits for the stop that a thread was asked for, and detaches from it.
fn let_go(tid: libc::pid_t, signal: libc::c_int) {
    if wait_at_most(tid, PATIENCE).is_some_and(|status| libc::WIFSTOPPED(status)) {
        detach(tid, signal);
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
    let stop = Stop::new(Pid(child), Tid(child), Wait::Sleep);
    let answer = stop.ok().and_then(|stop| ask(&stop));
    // SAFETY: the child is ours and has not been waited for, so that its number is no other's.
    unsafe { libc::kill(child, libc::SIGKILL) };
    while wait_for_change(child, Wait::Sleep).is_ok_and(|status| libc::WIFSTOPPED(status)) {}
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

fn wait_for_change(tid: libc::pid_t, wait: Wait) -> Result<i32, StopError> {
    if let Wait::SpinFor(limit) = wait {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = wait_once(tid, libc::WNOHANG)? {
                return Ok(status);
            }
            std::hint::spin_loop();
        }
    }
    loop {
        if let Some(status) = wait_once(tid, 0)? {
            return Ok(status);
        }
    }
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
