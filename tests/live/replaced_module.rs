//! A library that is loaded where another one was, at once: its frames are its own, also in the first sample.

use fpprof::sampler::mode::Mode as Sampled;
use fpprof::stack::frame::SampleFrame;

use crate::extension;
use crate::interpreters;
use crate::reading;
use crate::target::{Mode, Target};

/// Enough to meet both libraries many times: they take turns of 20 ms.
const SAMPLES: usize = 600;
/// And at most so many times as many where few of these meet one: on an emulated CPU a tenth did.
const ROUNDS: usize = 4;

#[test]
fn a_library_in_the_place_of_another_is_not_taken_for_it() {
    let interpreter = interpreters::named("pyenv 3.13");
    let target = Target::spawn(&interpreter, "replaced_module", Mode::Work, &[]);
    let mut session = reading::session(target.pid(), Sampled::Cpu);
    let (mut met, mut wrong, mut all) = ([0; 2], 0, 0);
    for _ in 0..ROUNDS {
        let samples = reading::samples(&mut session, 500.0, (SAMPLES, 20 * SAMPLES));
        all += samples.len();
        for sample in &samples {
            let python: Vec<String> =
                sample.frames.iter().filter_map(|frame| Some(reading::python(&session, frame)?.0)).collect();
            let module = sample.frames.iter().find_map(|frame| match frame {
                SampleFrame::Native { module, .. } => {
                    let name = session.reader.space.modules.get(*module)?.name();
                    extension::MODULES.iter().position(|extension| name.starts_with(&format!("{extension}.")))
                }
                _ => None,
            });
            let caller = ["in_first", "in_second"].iter().position(|caller| python.iter().any(|name| name == caller));
            if let (Some(module), Some(caller)) = (module, caller) {
                wrong += usize::from(module != caller);
                met[caller] += 1;
            }
        }
        if met.iter().all(|count| *count > SAMPLES / 10) {
            break;
        }
    }
    assert_eq!(wrong, 0, "{met:?} of {all}");
    assert!(met.iter().all(|count| *count > SAMPLES / 10), "{met:?} of {all}");
    assert!(target.release().success());
}
