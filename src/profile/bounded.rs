//! A profile whose stacks are asked for room before they are added.
//!
//! Does: add a stack whole where it fits; else its innermost part, with one gap that stands for the rest; else leave it out, and count
//! both. Does not: know how much memory there is.

use super::Profile;
use super::frame::Frame;
use super::tree::NodeId;
use crate::target::memory_budget::{self, Left};
use crate::types::room::Room;

/// To how many frames a stack is shortened that does not fit: to the first of these that does.
pub const KEPT: [usize; 4] = [4096, 1024, 256, 64];
/// What stands for the outer part of a stack that was shortened.
const REASON: &str = "more frames than --max-memory allows";

/// What did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// Distinct stacks of which only the innermost part is there.
    pub shortened: u64,
    /// Distinct stacks that are not there at all.
    pub lost: u64,
}

impl Cut {
    /// Has it told to the user in the end.
    pub fn tell(&self) {
        memory_budget::leave_out(Left::OuterParts(self.shortened));
        memory_budget::leave_out(Left::Stacks(self.lost));
    }
}

/// A profile that grows as far as there is room.
pub struct BoundedProfile<'r> {
    /// What there is.
    pub profile: Profile,
    /// What did not fit.
    pub cut: Cut,
    room: &'r mut dyn Room,
    gap: Frame,
    /// The most frames of a stack.
    most: usize,
}

impl<'r> BoundedProfile<'r> {
    /// No stacks yet, and none will have more frames than `most`.
    pub fn new(room: &'r mut dyn Room, most: usize) -> BoundedProfile<'r> {
        BoundedProfile { profile: Profile::new(), cut: Cut::default(), room, gap: Frame::gap(REASON), most }
    }

    /// Whether there is room for something beside the stacks.
    pub fn has_room_for(&mut self, bytes: u64) -> bool {
        self.room.take(bytes)
    }

    /// Adds a stack, outermost frame first, with a weight; `None` where it was left out.
    pub fn add(&mut self, stack: &[&Frame], weight: u64) -> Option<NodeId> {
        let all = std::iter::once(stack.len()).filter(|length| *length <= self.most);
        let kept = all.chain(KEPT.into_iter().filter(|kept| *kept <= self.most && *kept < stack.len()));
        let fitting =
            kept.map(|kept| (kept, self.profile.bytes_for(kept + 1))).find(|(_, bytes)| self.room.take(*bytes));
        let Some((kept, _)) = fitting else {
            self.cut.lost += 1;
            return None;
        };
        let inner = stack.get(stack.len().saturating_sub(kept)..).unwrap_or_default();
        if inner.len() == stack.len() {
            return Some(self.profile.add(inner.iter().copied(), weight));
        }
        self.cut.shortened += 1;
        Some(self.profile.add(std::iter::once(&self.gap).chain(inner.iter().copied()), weight))
    }

    /// Adds a stack the other way round: its innermost frame first. What is cut is the end of it.
    pub fn add_inverted(&mut self, stack: &[&Frame], weight: u64) -> Option<NodeId> {
        let kept = std::iter::once(stack.len()).chain(KEPT.into_iter().filter(|kept| *kept < stack.len()));
        let mut kept = kept.map(|kept| (kept, self.profile.bytes_for(kept + 1)));
        let Some((kept, _)) = kept.find(|(_, bytes)| self.room.take(*bytes)) else {
            self.cut.lost += 1;
            return None;
        };
        let gap = (kept < stack.len()).then_some(&self.gap);
        self.cut.shortened += u64::from(gap.is_some());
        Some(self.profile.add(stack.iter().rev().take(kept).copied().chain(gap), weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::frame::FrameKind;

    /// Room for so many bytes.
    struct Bytes(u64);

    impl Room for Bytes {
        fn take(&mut self, bytes: u64) -> bool {
            let left = self.0.checked_sub(bytes);
            self.0 = left.unwrap_or(self.0);
            left.is_some()
        }
    }

    fn frames(number: usize) -> Vec<Frame> {
        (0..number).map(|number| Frame::native(FrameKind::System, &number.to_string(), None)).collect()
    }

    #[test]
    fn what_does_not_fit_keeps_its_innermost_frames_behind_one_gap() {
        let frames = frames(1000);
        let stack: Vec<&Frame> = frames.iter().collect();
        let mut room = Bytes(Profile::new().bytes_for(300));
        let mut bounded = BoundedProfile::new(&mut room, usize::MAX);
        let node = bounded.add(&stack, 3).unwrap();
        assert_eq!(bounded.cut, Cut { shortened: 1, lost: 0 });
        let path = bounded.profile.path(node.index());
        let path: Vec<&Frame> = path.iter().map(|frame| &bounded.profile.frames()[frame.index()]).collect();
        assert_eq!((path.len(), path[0].kind, path[1], path[256]), (257, FrameKind::Gap, stack[744], stack[999]));
        assert_eq!(bounded.profile.total(), 3);
    }

    #[test]
    fn inverted_stacks_lose_their_callers_too() {
        let frames = frames(1000);
        let stack: Vec<&Frame> = frames.iter().collect();
        let mut room = Bytes(Profile::new().bytes_for(300));
        let mut bounded = BoundedProfile::new(&mut room, usize::MAX);
        let node = bounded.add_inverted(&stack, 3).unwrap();
        let path = bounded.profile.path(node.index());
        let path: Vec<&Frame> = path.iter().map(|frame| &bounded.profile.frames()[frame.index()]).collect();
        assert_eq!((path.len(), path[0], path[256].kind), (257, stack[999], FrameKind::Gap));
    }

    #[test]
    fn what_does_not_fit_at_all_is_counted() {
        let frames = frames(100);
        let stack: Vec<&Frame> = frames.iter().collect();
        let mut room = Bytes(0);
        let mut bounded = BoundedProfile::new(&mut room, usize::MAX);
        assert_eq!(bounded.add(&stack, 3), None);
        assert_eq!(bounded.cut, Cut { shortened: 0, lost: 1 });
    }
}
