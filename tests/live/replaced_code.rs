//! Code objects that take the place of freed ones, which differ from them in what they lead to only.

use std::collections::BTreeSet;

use fpprof::sampler::session::Mode as Sampled;

use crate::interpreters;
use crate::patience::samples;
use crate::reading;
use crate::target::{Mode, Target};

/// Samples of each interpreter: more than enough to meet each of the five code objects in the place of another.
const SAMPLES: usize = 300;
/// The fewest that are enough.
const FEWEST: usize = 150;

#[test]
fn code_in_the_place_of_other_code_has_its_own_name() {
    for interpreter in interpreters::all() {
        let target = Target::spawn(&interpreter, "replaced_code", Mode::Work, &[]);
        let mut session = reading::session(target.pid(), Sampled::Cpu);
        let samples = reading::samples(&mut session, 1000.0, (samples(SAMPLES, FEWEST), 20 * SAMPLES));
        let mut met = BTreeSet::new();
        for sample in &samples {
            let names: Vec<String> =
                sample.frames.iter().filter_map(|frame| Some(reading::python(&session, frame)?.0)).collect();
            let number = |prefix: &str| names.iter().find_map(|name| Some(name.strip_prefix(prefix)?.to_owned()));
            if let Some(made) = number("made_") {
                assert_eq!(Some(&made), number("caller_").as_ref(), "{}: {names:?}", interpreter.name);
                met.insert(made);
            }
        }
        assert_eq!(met.len(), 5, "{}: {:?}", interpreter.name, session.statistics);
        assert!(target.release().success());
    }
}
