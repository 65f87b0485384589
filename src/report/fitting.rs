//! What is to be written, made so small that writing it fits into memory.
//!
//! Does: have an output tell what it needs, and shorten stacks, and then leave samples out, until that is there. Does not: know formats.

use std::io;

use crate::output::format::Format;
use crate::output::label::LabelOptions;
use crate::output::needs;
use crate::profile::Profile;
use crate::profile::bounded::{BoundedProfile, KEPT};
use crate::profile::frame::Frame;
use crate::profile::timeline::Timeline;
use crate::profile::tree::NodeId;
use crate::target::memory_budget::{self, Left, Meter, Share, left};

/// How often half of the samples are left out: of a million, one is left.
const MAX_HALVINGS: u32 = 20;
/// Short labels are so many times as long with what has changed.
const WITH_CHANGES: u64 = 3;

/// The stacks the other way round ([`Profile::inverted`]), as far as there is room.
pub fn inverted(stacks: &Profile) -> Profile {
    let mut room = Meter::new(Share::Making);
    let mut inverted = BoundedProfile::new(&mut room, usize::MAX);
    for (stack, weight) in stacks.stacks() {
        inverted.add_inverted(&stack, weight);
    }
    let BoundedProfile { profile, cut, .. } = inverted;
    cut.tell();
    profile
}

/// As much of some stacks, and of their samples, as can be written in a format. A tick of the clock stands for `period` nanoseconds.
///
/// # Errors
/// That not even little of it can.
pub fn fit(
    format: Format,
    stacks: Profile,
    timeline: Option<Timeline>,
    (labels, period): (&LabelOptions, u64),
) -> io::Result<(Profile, Option<Timeline>)> {
    fit_as(|stacks, timeline| needs::of(format, (stacks, timeline), period, labels), stacks, timeline)
}

/// As much of some stacks as can be drawn as a difference: a flame graph whose labels tell what has changed, too.
///
/// # Errors
/// As of [`fit`].
pub fn fit_difference(stacks: Profile) -> io::Result<Profile> {
    let labels = LabelOptions { by_function: true, no_line_numbers: false };
    let need = |stacks: &Profile, _: Option<&Timeline>| {
        needs::of(Format::FlameGraph, (stacks, None), 0, &labels).saturating_mul(WITH_CHANGES)
    };
    fit_as(need, stacks, None).map(|(stacks, _)| stacks)
}

fn fit_as(
    need: impl Fn(&Profile, Option<&Timeline>) -> u64,
    mut stacks: Profile,
    mut timeline: Option<Timeline>,
) -> io::Result<(Profile, Option<Timeline>)> {
    if memory_budget::limit().is_none() {
        return Ok((stacks, timeline));
    }
    let fits = |stacks: &Profile, timeline: Option<&Timeline>| {
        // To find out what is needed takes memory, too.
        stacks.nodes().len() as u64 * needs::BYTES_TO_ASK <= left(Share::All)
            && need(stacks, timeline) <= left(Share::All)
    };
    let mut cut = 0;
    for most in KEPT {
        if fits(&stacks, timeline.as_ref()) {
            break;
        }
        let (shorter, moved, shortened) = shortened(&stacks, timeline.as_ref(), most);
        if shortened > 0 {
            cut = shortened.max(cut);
            stacks = shorter;
            timeline = timeline.map(|timeline| timeline.with_stacks(|stack| *moved.get(stack as usize)?));
        }
    }
    memory_budget::leave_out(Left::OuterParts(cut));
    let all = timeline.as_ref().map_or(0, |timeline| timeline.samples().len());
    for _ in 0..MAX_HALVINGS {
        if fits(&stacks, timeline.as_ref()) {
            break;
        }
        let Some(timeline) = &mut timeline else { break };
        timeline.truncate(timeline.samples().len() / 2);
    }
    let kept = timeline.as_ref().map_or(0, |timeline| timeline.samples().len());
    memory_budget::leave_out(Left::Samples((all - kept) as u64));
    if fits(&stacks, timeline.as_ref()) {
        return Ok((stacks, timeline));
    }
    let limit = memory_budget::limit().map(|limit| limit.to_string()).unwrap_or_default();
    Err(io::Error::other(format!(
        "it takes more than the {limit} that --max-memory allows: allow more, or choose less with --thread, --from and --to"
    )))
}

/// The stacks with no more than `most` frames each, where each of the old ones is among them, and how many have become shorter.
fn shortened(stacks: &Profile, timeline: Option<&Timeline>, most: usize) -> (Profile, Vec<Option<u32>>, u64) {
    let mut is_used: Vec<bool> = stacks.nodes().iter().map(|node| node.self_weight > 0).collect();
    for sample in timeline.into_iter().flat_map(Timeline::samples) {
        if let Some(is_used) = is_used.get_mut(sample.stack as usize) {
            *is_used = true;
        }
    }
    let mut room = Meter::new(Share::All);
    let mut shorter = BoundedProfile::new(&mut room, most);
    let mut moved = vec![None; stacks.nodes().len()];
    for (index, node) in stacks.nodes().iter().enumerate().filter(|(index, _)| is_used.get(*index) == Some(&true)) {
        let path = stacks.path(index);
        let frames: Vec<&Frame> = path.iter().filter_map(|frame| stacks.frames().get(frame.index())).collect();
        let node = shorter.add(&frames, node.self_weight).map(NodeId::index);
        if let Some(moved) = moved.get_mut(index) {
            *moved = node.and_then(|node| u32::try_from(node).ok());
        }
    }
    let BoundedProfile { profile, cut, .. } = shorter;
    (profile, moved, cut.shortened + cut.lost)
}
