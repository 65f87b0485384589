//! What is told of a process that is not alive any more is what was told while it lived: `dump`, `doctor` and snapshots run on any
//! target.

use std::sync::Arc;

use fpprof::cli::doctor::examine::Report;
use fpprof::cli::dump::look::{Dump, DumpOptions};
use fpprof::cli::{doctor, dump};
use fpprof::process::reader::Reader;
use fpprof::sampler::mode::Mode as Sampled;
use fpprof::sampler::session::Session;
use fpprof::snapshot::subject::ThreadToSave;
use fpprof::symbolize::names::NativeFrames;
use fpprof::target::view::Target as _;
use fpprof::types::Tid;
use serde_json::Value;

use crate::frozen_target::Frozen;
use crate::interpreters::{self, TestInterpreter};
use crate::reading;
use crate::target::{Mode, Target};

const VIEW: DumpOptions = DumpOptions { native: NativeFrames::All, lines: false, full_filenames: true };

/// What `fpprof dump` writes, without what only a live process shows: when it was looked at, and which files calls wait for.
fn dumped(mut session: Session) -> Value {
    session.reader.read_locals();
    let mut bytes = Vec::new();
    dump::json::write(&Dump::take(session, VIEW), &mut bytes).expect("memory can be written");
    let mut json: Value = serde_json::from_slice(&bytes).expect("it is JSON");
    json["time"] = Value::Null;
    for thread in json["threads"].as_array_mut().expect("there are threads") {
        let state = thread["state_text"].as_str().unwrap_or_default().to_owned();
        if let Some(call) = state.strip_prefix("I/O: ") {
            thread["state_text"] = Value::from(format!("I/O: {}", call.split(' ').next().unwrap_or_default()));
        }
    }
    json
}

/// The first place at which two documents differ, and what is there.
fn first_difference(left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) if left.keys().eq(right.keys()) => {
            left.iter().find_map(|(key, value)| Some(format!("{key}.{}", first_difference(value, right.get(key)?)?)))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let mut pairs = left.iter().zip(right).enumerate();
            pairs.find_map(|(index, (left, right))| Some(format!("{index}.{}", first_difference(left, right)?)))
        }
        _ => (left != right).then(|| format!(" {left} became {right}")),
    }
}

fn frozen_session(frozen: &Arc<Frozen>) -> Session {
    Session::new(Arc::clone(frozen) as Arc<_>, Sampled::Wall).expect("an interpreter")
}

/// A target whose threads are all blocked, what was told of it, and what is left of it.
fn told_and_frozen(interpreter: &TestInterpreter) -> (Value, String, Arc<Frozen>) {
    let target = Target::spawn(interpreter, "threads", Mode::Park, &[]);
    let live = dumped(reading::session(target.pid(), Sampled::Wall));
    let examined = doctor::json::write(&Report::of_process(&reading::session(target.pid(), Sampled::Wall)));
    let frozen = Arc::new(Frozen::copy(target.pid()));
    assert!(target.release().success());
    (live, examined, frozen)
}

fn assert_snapshot_gives_its_stack(frozen: &Arc<Frozen>, about: &str) {
    let mut reader = Reader::new(Arc::clone(frozen) as Arc<_>).expect("an interpreter");
    let mut subject = ThreadToSave::new(&mut reader, Tid(frozen.identity().pid.0)).expect("it has a first thread");
    let reading = subject.sample().expect("it can be read").expect("nothing changes");
    let saved = subject.save(&reading).unwrap_or_else(|error| panic!("{about}: {error}"));
    assert_eq!(saved.frames.len(), reading.frames.len(), "{about}");
}

/// One that means harm can change what is read of it at any moment. Nothing that fpprof makes of that is of use, and it must be made.
#[test]
fn a_process_that_rewrites_its_memory_all_the_time_is_told_of_all_the_same() {
    // A word in eight, and so few that most of what is read leads somewhere.
    const ONE_IN: [u64; 4] = [8, 100, 1_000, 10_000];
    for interpreter in interpreters::without_jit() {
        let target = Target::spawn(&interpreter, "threads", Mode::Park, &[]);
        let frozen = Frozen::copy(target.pid());
        assert!(target.release().success());
        let mut read = 0;
        for seed in 0..24 {
            let rewriting = frozen.rewriting(seed, ONE_IN[seed as usize % ONE_IN.len()]);
            // What looks no more like Python is refused.
            let Ok(session) = Session::new(Arc::new(rewriting), Sampled::Wall) else { continue };
            read += 1;
            let told = dumped(session);
            let threads = told["threads"].as_array().expect("there are threads");
            assert_eq!(threads.len(), frozen.threads().unwrap().len(), "{}, seed {seed}", interpreter.name);
        }
        assert!(read > 4, "{}: {read} were read", interpreter.name);
    }
}

#[test]
fn dump_doctor_and_snapshots_tell_the_same_of_a_process_when_it_is_gone() {
    for interpreter in interpreters::all() {
        let about = &interpreter.name;
        let (live, examined, frozen) = told_and_frozen(&interpreter);
        assert!(live["threads"].as_array().is_some_and(|threads| threads.len() > 1), "{about}");
        assert_eq!(first_difference(&live, &dumped(frozen_session(&frozen))), None, "{about}");
        assert_eq!(doctor::json::write(&Report::of_process(&frozen_session(&frozen))), examined, "{about}");
        assert_snapshot_gives_its_stack(&frozen, about);
    }
}
