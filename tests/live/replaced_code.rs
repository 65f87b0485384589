//! Code objects that take the place of freed ones, which differ from them in what they lead to only.

use std::collections::BTreeSet;

use fpprof::sampler::mode::Mode as Sampled;

use crate::interpreters;
use crate::patience::samples;
use crate::reading;
use crate::target::{Mode, Target};

/// Samples of each interpreter, and more until each of the five code objects has been met in the place of another.
const SAMPLES: usize = 300;
/// How many are taken at a time.
const AT_A_TIME: usize = 50;
/// How often, at the most: many times what a turn of the program takes.
const MOST: usize = 200;

#[test]
fn code_in_the_place_of_other_code_has_its_own_name() {
    for interpreter in interpreters::all() {
        let target = Target::spawn(&interpreter, "replaced_code", Mode::Work, &[]);
        let mut session = reading::session(target.pid(), Sampled::Cpu);
        let (mut met, mut taken) = (BTreeSet::new(), 0);
        for _ in 0..MOST {
            let batch = reading::samples(&mut session, 1000.0, (AT_A_TIME, 20 * AT_A_TIME));
            taken += batch.len();
            for sample in &batch {
                let names: Vec<String> =
                    sample.frames.iter().filter_map(|frame| Some(reading::python(&session, frame)?.0)).collect();
                let number = |prefix: &str| names.iter().find_map(|name| Some(name.strip_prefix(prefix)?.to_owned()));
                if let Some(made) = number("made_") {
                    assert_eq!(Some(&made), number("caller_").as_ref(), "{}: {names:?}", interpreter.name);
                    met.insert(made);
                }
            }
            if met.len() == 5 && taken >= samples(SAMPLES, AT_A_TIME) {
                break;
            }
        }
        assert_eq!(met.len(), 5, "{}: {:?}", interpreter.name, session.statistics);
        assert!(target.release().success());
    }
}
