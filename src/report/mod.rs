//! From a recording that has been read to what is shown of it: chosen, named and counted.
//!
//! Does: the order of things, for the commands and for programs that use the library. Does not: read recordings
//! (`profile::recording`), or lay anything out (`output`).

mod facts;
pub mod fitting;
pub mod naming;
pub mod options;
pub mod recorded_code;
pub mod source_file;
pub mod sources;

use std::io::{self, Write};
use std::sync::Arc;

use self::options::ReportOptions;
use self::sources::OtherSources;
use crate::output::format::Format;
use crate::output::label::LabelOptions;
use crate::output::{self, ShownProfile};
use crate::profile::Profile;
use crate::profile::bounded::BoundedProfile;
use crate::profile::comparison::Counts;
use crate::profile::facts::RecordingFacts;
use crate::profile::processes::are_several;
use crate::profile::recording::Recording;
use crate::profile::sources::Sources;
use crate::profile::steps::Steps;
use crate::profile::timeline::Timeline;
use crate::target::memory_budget::{self, Left, Meter, Share};

/// What is shown of a recording.
#[derive(Debug)]
pub struct RecordingPart {
    stacks: Profile,
    /// Its samples refer to the stacks; absent where these are inverted.
    timeline: Option<Timeline>,
    sources: Option<Sources>,
    threads: Option<String>,
    /// The facts about the recording.
    pub facts: RecordingFacts,
}

impl RecordingPart {
    /// The chosen part, as far as there is room for it; `steps` tell how far naming is.
    pub fn of(recording: &Recording, choice: &ReportOptions, steps: &Arc<Steps>) -> RecordingPart {
        let mut room = Meter::new(Share::Making);
        let mut stacks = BoundedProfile::new(&mut room, usize::MAX);
        let mut timeline = Timeline::default();
        let mut without_room = recording.samples_left_out;
        let are_several =
            are_several(recording.programs.iter().map(|program| (program.program.pid, program.program.again)));
        for program in recording.programs.iter().filter(|program| choice.has_process(program.program.pid)) {
            let process = are_several.then(|| program.program.shown_process().frame(choice.processes));
            let left_out =
                naming::add_samples((program, process.as_ref()), choice, steps, (&mut stacks, &mut timeline));
            without_room = without_room.saturating_add(left_out);
        }
        memory_budget::leave_out(Left::Samples(without_room));
        let BoundedProfile { profile: stacks, cut, .. } = stacks;
        cut.tell();
        let facts = RecordingFacts { left_out: memory_budget::left_out(), ..facts::of(recording, choice) };
        let threads = choice.other_threads(recording.programs.iter().flat_map(|program| &program.threads));
        match choice.inverted {
            true => {
                let stacks = fitting::inverted(&stacks);
                let facts = RecordingFacts { left_out: memory_budget::left_out(), ..facts };
                RecordingPart { stacks, timeline: None, sources: None, threads, facts }
            }
            false => RecordingPart { stacks, timeline: Some(timeline), sources: None, threads, facts },
        }
    }

    /// The part as far as there is room to write it in a format: with shorter stacks, or fewer samples.
    ///
    /// # Errors
    /// That not even little of it fits.
    pub fn fitted(self, format: Format, labels: &LabelOptions) -> io::Result<RecordingPart> {
        let RecordingPart { stacks, timeline, sources, threads, facts } = self;
        let (stacks, timeline) = fitting::fit(format, stacks, timeline, (labels, facts.period()))?;
        let facts = RecordingFacts { left_out: memory_budget::left_out(), ..facts };
        Ok(RecordingPart { stacks, timeline, sources, threads, facts })
    }

    /// The part as far as there is room to draw it as a difference; its samples are not needed for that any more.
    ///
    /// # Errors
    /// That not even little of it fits.
    pub fn fitted_for_difference(self) -> io::Result<RecordingPart> {
        let RecordingPart { stacks, threads, facts, .. } = self.without_samples();
        let stacks = fitting::fit_difference(stacks)?;
        let facts = RecordingFacts { left_out: memory_budget::left_out(), ..facts };
        Ok(RecordingPart { stacks, timeline: None, sources: None, threads, facts })
    }

    fn without_samples(self) -> RecordingPart {
        RecordingPart { timeline: None, sources: None, ..self }
    }

    /// The facts alone.
    #[must_use]
    pub fn without_stacks(self) -> RecordingPart {
        RecordingPart { stacks: Profile::new(), ..self.without_samples() }
    }

    /// The part with the text of its Python files, where the format shows it.
    pub fn with_sources(
        self,
        recording: &Recording,
        format: Format,
        others: OtherSources<'_>,
        full: bool,
    ) -> RecordingPart {
        let sources = format.shows_sources().then(|| sources::find(recording, &self.stacks, others, full));
        RecordingPart { sources, ..self }
    }

    /// Its stacks.
    pub fn stacks(&self) -> &Profile {
        &self.stacks
    }

    /// Its samples by function, tick by tick. Inverted stacks have none.
    pub fn counts(&self) -> Counts {
        let none = Timeline::default();
        Counts::of(&self.stacks, self.timeline.as_ref().unwrap_or(&none), self.facts.seconds_per_weight())
    }

    /// Whether something was chosen, and there is nothing of it.
    pub fn is_empty_choice(&self) -> bool {
        self.stacks.total() == 0 && self.facts.shown_part.is_some()
    }

    /// The threads that there are, in words, where threads were chosen and none is one of them.
    pub fn other_threads(&self) -> Option<&str> {
        self.threads.as_deref()
    }

    /// Writes it in a format.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, format: Format, labels: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
        let RecordingPart { stacks, timeline, sources, facts, .. } = self;
        let (timeline, sources) = (timeline.as_ref(), sources.as_ref());
        let shown = ShownProfile { stacks, timeline, sources, facts, is_inverted: timeline.is_none() };
        output::write(format, &shown, labels, out)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::recording::{Program, RecordedProgram, Thread};
    use crate::profile::samples::TimedSample;
    use crate::sampler::mode::Mode;
    use crate::sampler::run_state::RunState;
    use crate::types::Pid;

    /// A program with one thread, which was seen at these times (ns) without any frame.
    fn program(number: usize, times: &[u64]) -> RecordedProgram {
        let pid = 70 + number as i32;
        let program =
            Program { number, pid: Some(Pid(pid)), again: 0, command: None, interpreter: 0, project: None, home: None };
        let sample = |time: &u64| TimedSample { time: *time, thread: 0, state: 0, stack: 0, ticks: 2, weight: 2 };
        RecordedProgram {
            threads: vec![Thread { tid: pid, name: None }],
            states: vec![[RunState::Sleeping, RunState::Python][number].clone()],
            samples: times.iter().map(sample).collect(),
            ..RecordedProgram::new(program)
        }
    }

    #[test]
    fn programs_side_by_side_are_shown_in_the_order_of_time() {
        let facts = RecordingFacts::of_nothing(Pid(70), Mode::Wall, 100.0);
        let programs = vec![program(0, &[10, 30, 30, 50]), program(1, &[20, 30, 60])];
        let recording = Recording { programs, facts, cut_off: Some("here".into()), samples_left_out: 0 };
        let part = RecordingPart::of(&recording, &ReportOptions::default(), &Arc::default());
        let mut text = Vec::new();
        part.write(Format::JsonLines, &LabelOptions::default(), &mut text).unwrap();
        let lines = text.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty());
        let samples = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
        let seen: Vec<_> =
            samples.map(|sample| (sample["time_ns"].as_u64().unwrap(), sample["tid"].as_u64().unwrap())).collect();
        assert_eq!(seen, [(10, 70), (20, 71), (30, 70), (30, 70), (30, 71), (50, 70), (60, 71)]);
        // What was seen at one time is of one tick.
        assert_eq!((part.facts.samples_taken, part.facts.samples_wanted), (5, 10));
        assert_eq!(part.facts.activity.states, BTreeMap::from([(RunState::Python, 6), (RunState::Sleeping, 8)]));
    }
}
