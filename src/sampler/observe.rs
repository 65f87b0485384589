//! Looks at what is needed to tell a thread's run state, once its stack has been captured.
//!
//! Does: read the kernel's word on a thread that is newly blocked, and which file it waits for; take the interpreter's word
//! from the capture.
//! Does not: decide ([`super::run_state`] does), or look again at a thread that has not run since.

use super::run_state::{Blocked, RunState};
use super::thread_history::ThreadHistory;
use crate::capture::placement::Placement;
use crate::process::reader::Reader;
use crate::process::reading::Reading;
use crate::process::thread_states::ThreadStates;
use crate::target::native_system_calls;
use crate::target::status::TaskState;
use crate::target::system_calls::{self, Wait};
use crate::target::threads::Activity;

/// The run state of the thread of `history` at the moment of `reading`.
pub fn run_state(reader: &Reader, history: &mut ThreadHistory, states: &ThreadStates, reading: &Reading) -> RunState {
    let Reading { captured, frames, .. } = reading;
    let interpreter = reader.found.module;
    let ThreadHistory { known, last_block, .. } = history;
    if captured.placement == Placement::Queued {
        return RunState::WaitingForCpu;
    }
    if captured.stood_still.is_some() && captured.asleep.is_none() {
        return RunState::of_running(frames, interpreter, states.is_collecting(known, reader, captured));
    }
    let call = captured.system_call;
    let numbers = native_system_calls::NUMBERS;
    let meant = call.map(|call| system_calls::restarted(numbers, call, last_block.call));
    let wait = meant.and_then(|call| system_calls::wait(numbers, &call));
    let before = known.thread.run_count();
    let task = captured.asleep.or_else(|| known.thread.task_state());
    // On AArch64 the kernel names no call while a thread is stopped, and restarts the one that it was in when it goes on.
    last_block.call = meant.or(last_block.call.filter(|_| task == Some(TaskState::Stopped)));
    let file = match wait {
        Some(Wait::File { descriptor, .. }) => known.thread.file_kind(descriptor),
        _ => None,
    };
    // Only of the moment that was captured: the thread may have gone on, and waits for something else by now.
    let is_in_it = match known.thread.activity() {
        Ok(Activity::Blocked { call: now, .. }) => now == call,
        Ok(Activity::Still) => true,
        Ok(Activity::Running | Activity::Asleep) | Err(_) => false,
    };
    let still_there = captured.asleep.is_some() || is_in_it && known.thread.run_count() == before;
    let blocked = match still_there {
        true => Blocked { wait, task, file },
        false => Blocked { wait, task: None, file: None },
    };
    RunState::of_blocked(&blocked, frames, interpreter, |addr| states.is_gil(addr))
}
