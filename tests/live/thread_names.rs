//! Threads have the names that their programs have given them: whole, and never another's.

use fpprof::sampler::mode::Mode as Sampled;

use crate::interpreters;
use crate::patience::{self, eventually};
use crate::reading;
use crate::target::{Mode, Target};

#[test]
fn a_thread_is_called_what_its_program_calls_it() {
    for interpreter in interpreters::without_jit() {
        let target = Target::spawn(&interpreter, "named_threads", Mode::Park, &[]);
        let mut session = reading::session(target.pid(), Sampled::Wall);
        let name = |session: &fpprof::sampler::session::Session, native_id: i32| {
            let history = session.threads().iter().find(|history| history.known.namespace_id == native_id)?;
            session.given_name(history).map(str::to_owned)
        };
        // A tick tells which thread states are whose.
        eventually(&format!("every thread of {} has its name", interpreter.name), || {
            session.tick(1, &mut |_| {});
            session.serve_within(patience::patience(), &mut |_| {});
            session.read_names();
            let threads = &target.truth().threads;
            threads.iter().all(|thread| name(&session, thread.native_id).as_ref() == Some(&thread.name))
        });
        let names: Vec<&str> = target.truth().threads.iter().map(|thread| thread.name.as_str()).collect();
        for expected in ["MainThread", "kafka-reader of the orders, in full", "läser 🐍", "a worker", "orders_7"] {
            assert!(names.contains(&expected), "{names:?}");
        }
        assert!(target.release().success());
    }
}

/// How many names of threads that live for milliseconds make a test of an interpreter, and after how many ticks there must be some.
const NAMES: usize = 60;
const TICKS: usize = 3_000;

#[test]
fn no_thread_is_called_what_another_one_is() {
    for interpreter in interpreters::without_jit() {
        let target = Target::spawn(&interpreter, "own_names", Mode::Work, &[]);
        let mut session = reading::session(target.pid(), Sampled::Cpu);
        let wanted = patience::samples(NAMES, 20);
        let mut right = 0;
        for _ in 0..TICKS {
            session.tick(1, &mut |_| {});
            session.serve_within(patience::patience(), &mut |_| {});
            session.read_names();
            for history in session.threads() {
                let number = history.known.namespace_id;
                // Else it is the name that it was made with, or that of the first thread.
                if let Some(Ok(named)) = session.given_name(history).map(str::parse::<i32>) {
                    assert_eq!(named, number, "on {}", interpreter.name);
                    right += 1;
                }
            }
            if right >= wanted {
                break;
            }
        }
        assert!(right >= wanted.min(10), "{right} on {}", interpreter.name);
        assert!(target.release().success());
    }
}
