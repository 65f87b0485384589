//! Threads at work inside a large transfer: a `write` through a slow pipe wakes, copies a piece, and waits again.
//!
//! Does: wait for a thread that was seen in such a call to be blocked in it again, so that it need not be stopped there,
//! which would end the call early.
//! Does not: hold anything up for long, or believe that it is the same call when the thread is not where it was.

use std::time::{Duration, Instant};

use crate::target::native_system_calls;
use crate::target::system_calls;
use crate::target::threads::{Activity, Thread};

/// How long to wait: a piece is copied in some ten microseconds, once the thread has its CPU. A thread that has left the
/// call is waited for in vain, once.
const PATIENCE: Duration = Duration::from_micros(200);

/// The large transfer that a thread which is seen so is in, if it is in one.
pub fn of(activity: Activity) -> Option<Activity> {
    let Activity::Blocked { call: Some(call), .. } = activity else { return None };
    system_calls::moves_in_pieces(native_system_calls::NUMBERS, &call).then_some(activity)
}

/// Whether a thread that runs comes to wait in `transfer` again: with the same arguments, at the same place of its stack. Its
/// frames are then what they were when it ran.
pub fn goes_on(thread: &mut Thread, transfer: Activity) -> bool {
    let start = Instant::now();
    let mut has_run = false;
    while start.elapsed() < PATIENCE {
        match thread.activity() {
            Ok(Activity::Running) => has_run = true,
            // One that waits already is not ours to tell.
            activity => return has_run && activity.is_ok_and(|activity| activity == transfer),
        }
        // It may be waiting for our own CPU.
        std::thread::yield_now();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Read, Write, pipe};
    use std::thread::JoinHandle;

    use super::*;
    use crate::types::{Pid, Tid};

    const SIZE: usize = 1 << 20;

    /// Starts a thread that writes more than a pipe holds.
    fn writer(mut into: PipeWriter) -> (JoinHandle<()>, Thread) {
        let (send, receive) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            send.send(nix::unistd::gettid().as_raw()).unwrap();
            into.write_all(&vec![0; SIZE]).unwrap();
        });
        let thread = Thread::open(Pid(std::process::id() as i32), Tid(receive.recv().unwrap())).unwrap();
        (writer, thread)
    }

    #[test]
    fn a_thread_that_waits_already_is_not_waited_for() {
        let (mut reader, into) = pipe().unwrap();
        let (writer, mut thread) = writer(into);
        let transfer = loop {
            if let Some(transfer) = of(thread.activity().unwrap()) {
                break transfer;
            }
            std::thread::yield_now();
        };
        assert!(!goes_on(&mut thread, transfer), "it has not run");
        reader.read_exact(&mut vec![0; SIZE]).unwrap();
        writer.join().unwrap();
    }

    #[test]
    fn a_thread_that_never_waits_again_is_let_be() {
        let mut myself = Thread::open(Pid(std::process::id() as i32), Tid(nix::unistd::gettid().as_raw())).unwrap();
        assert_eq!(of(Activity::Running), None);
        assert!(!goes_on(&mut myself, Activity::Running), "we run all the time that we wait");
    }
}
