//! From a recording that has been read to what is shown of it: chosen, named and counted.
//!
//! Does: the order of things, for the commands and for programs that use the library. Does not: read recordings
//! (`profile::recording`), or lay anything out (`output`).

pub mod choice;
mod facts;
pub mod naming;
pub mod recorded_code;
mod sources;

use std::io::{self, Write};
use std::sync::Arc;

use self::choice::Choice;
use crate::output::format::Format;
use crate::output::label::LabelOptions;
use crate::output::{self, Shown};
use crate::profile::Profile;
use crate::profile::comparison::Counts;
use crate::profile::facts::RecordingFacts;
use crate::profile::recording::Recording;
use crate::profile::sources::Sources;
use crate::profile::steps::Steps;
use crate::profile::timeline::Timeline;
use crate::target::root::TargetRoot;

/// What is shown of a recording.
#[derive(Debug)]
pub struct Part {
    stacks: Profile,
    /// Its samples refer to the stacks; absent where these are inverted.
    timeline: Option<Timeline>,
    sources: Option<Sources>,
    /// The facts about the recording.
    pub facts: RecordingFacts,
}

impl Part {
    /// The chosen part; `steps` tell how far naming is.
    pub fn of(recording: &Recording, choice: &Choice, steps: &Arc<Steps>) -> Part {
        let (mut stacks, mut timeline) = (Profile::new(), Timeline::default());
        for program in &recording.programs {
            naming::add_samples(program, choice, steps, (&mut stacks, &mut timeline));
        }
        // Programs can have run side by side.
        timeline.sort();
        let facts = facts::of(recording, choice);
        match choice.inverted {
            true => Part { stacks: stacks.inverted(), timeline: None, sources: None, facts },
            false => Part { stacks, timeline: Some(timeline), sources: None, facts },
        }
    }

    /// The part with the text of its Python files, where the format shows it, and where `root` still has it.
    pub fn with_sources(self, recording: &Recording, format: Format, root: Option<&TargetRoot>, full: bool) -> Part {
        let root = root.filter(|_| format.shows_sources());
        let sources = root.map(|root| sources::read(recording, &self.stacks, root, full));
        Part { sources, ..self }
    }

    /// Its stacks.
    pub fn stacks(&self) -> &Profile {
        &self.stacks
    }

    /// Its samples by function, tick by tick. Inverted stacks have none.
    pub fn counts(&self) -> Counts {
        let none = Timeline::default();
        Counts::of(&self.stacks, self.timeline.as_ref().unwrap_or(&none), self.facts.seconds_per_tick())
    }

    /// Whether something was chosen, and there is nothing of it.
    pub fn is_empty_choice(&self) -> bool {
        self.stacks.total() == 0 && self.facts.shown_part.is_some()
    }

    /// Writes it in a format.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, format: Format, labels: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
        let Part { stacks, timeline, sources, facts } = self;
        let (timeline, sources) = (timeline.as_ref(), sources.as_ref());
        let shown = Shown { stacks, timeline, sources, facts, is_inverted: timeline.is_none() };
        output::write(format, &shown, labels, out)
    }
}
