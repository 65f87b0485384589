//! Walks a thread state's chain of frames.
//!
//! Does: return Python frames and markers, innermost first, from one read per frame, so that it can run on a copy while
//! the thread is stopped; stop with a reason, and go on from there when the missing memory has been fetched.
//! Does not: know how a version chains its frames ([`crate::python::chain`] does), or read code objects. So frames that
//! CPython itself hides, because they have not reached their first traceable instruction (shims such as `_Py_InitCleanup`
//! among them), are in the result until [`PythonStack::drop_incomplete`].

use crate::python::chain::{Chain, Link, Neighbours, Step};
use crate::python::layout::Layout;
use crate::python::stack::{ChainEnd, PythonEntry, PythonStack};
use crate::target::memory::Memory;
use crate::types::Addr;

/// The innermost entries that are kept of a chain. Beyond them only markers are: so the frames that are kept find their place on the
/// native stack.
pub const MAX_ENTRIES: usize = 200_000;
/// The most links that are followed.
const MAX_LINKS: usize = 1 << 20;

/// Walks the frames of the thread state at `thread_state`.
pub fn walk(layout: &Layout, mem: &impl Memory, thread_state: Addr) -> PythonStack {
    let mut walk = FrameWalk::new(layout, thread_state);
    walk.run(mem);
    walk.into_stack()
}

/// A walk that can be continued: [`FrameWalk::run`] again after [`ChainEnd::Unreadable`], with more memory.
#[derive(Debug, Clone)]
pub struct FrameWalk<'a> {
    layout: &'a Layout,
    thread_state: Addr,
    stack: PythonStack,
    position: Position,
    chain: Chain,
    /// Brent's cycle detection: the frame kept for comparison, and how many steps until a later one is kept.
    kept: Addr,
    until_kept: usize,
    steps: usize,
    /// Whether frames have been left out, because there are too many.
    leaves_out: bool,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    Start,
    Frame(Addr),
}

impl<'a> FrameWalk<'a> {
    /// A walk that has not begun.
    pub fn new(layout: &'a Layout, thread_state: Addr) -> Self {
        FrameWalk::into_buffer(layout, thread_state, Vec::new())
    }

    /// The same, in the memory of an earlier walk.
    pub fn into_buffer(layout: &'a Layout, thread_state: Addr, mut entries: Vec<PythonEntry>) -> Self {
        entries.clear();
        FrameWalk {
            layout,
            thread_state,
            stack: PythonStack { entries, end: ChainEnd::Unreadable(thread_state) },
            position: Position::Start,
            chain: Chain::new(layout),
            kept: Addr::NULL,
            until_kept: 1,
            steps: 0,
            leaves_out: false,
        }
    }

    /// Walks until the chain ends or a frame is not in `mem`, and says which.
    pub fn run(&mut self, mem: &impl Memory) -> ChainEnd {
        let mut neighbours = Neighbours::default();
        self.stack.end = loop {
            let step = match self.position {
                Position::Start => self.chain.start(mem, self.thread_state),
                Position::Frame(frame) => self.step(mem, frame, &mut neighbours),
            };
            match step {
                Ok(frame) => self.position = Position::Frame(frame),
                Err(ChainEnd::Torn(_)) if self.leave_unlinked_eval_loop(mem) => {}
                Err(ChainEnd::Root) if self.leaves_out => break ChainEnd::TooDeep,
                Err(end) => break end,
            }
        };
        self.stack.end
    }

    /// Goes on with the eval loop outside the innermost one, and returns whether that could be done.
    ///
    /// On 3.11 and 3.12 an eval loop links its `_PyCFrame` before it sets the pointer to its first frame. Until then
    /// that pointer is whatever was on the C stack, and the frames that really run are those of the eval loop outside.
    /// [`FrameWalk::run`] does this by itself where the pointer leads to an impossible frame, or to an eval loop that
    /// does not return to where the one outside stands; do it where it leads to memory that cannot be fetched at all.
    /// It is possible once, and before the walk has left the innermost eval loop.
    pub fn leave_unlinked_eval_loop(&mut self, mem: &impl Memory) -> bool {
        if matches!(self.position, Position::Start) {
            return false;
        }
        let Some(frame) = self.chain.leave_unlinked(mem) else { return false };
        self.stack.entries.clear();
        self.leaves_out = false;
        self.position = Position::Frame(frame);
        (self.kept, self.until_kept) = (Addr::NULL, 1);
        true
    }

    /// Gives up on memory that is missing, because it is too much.
    pub fn cut(&mut self) {
        if let ChainEnd::Unreadable(_) = self.stack.end {
            self.stack.end = ChainEnd::TooDeep;
        }
    }

    /// What has been walked.
    pub fn stack(&self) -> &PythonStack {
        &self.stack
    }

    /// What has been walked.
    pub fn into_stack(self) -> PythonStack {
        self.stack
    }

    /// Records the link at `frame`, and returns the frame that it returns to.
    #[inline]
    fn step<'m>(&mut self, mem: &'m impl Memory, frame: Addr, neighbours: &mut Neighbours<'m>) -> Step<Addr> {
        if self.chain.has_ended(mem, frame)? {
            return Err(ChainEnd::Root);
        }
        if self.steps >= MAX_LINKS || frame == self.kept {
            return Err(ChainEnd::TooDeep);
        }
        let link = Link::read(self.layout, mem, frame, neighbours)?;
        let before = self.stack.entries.len();
        self.chain.add(mem, &link, &mut self.stack.entries)?;
        let previous = link.previous;
        if before >= MAX_ENTRIES {
            self.leave_out(before);
        }
        self.count_step(frame);
        Ok(previous)
    }

    /// Keeps of the last link, before which there were so many entries, only its marker.
    #[cold]
    fn leave_out(&mut self, before: usize) {
        let entries = &mut self.stack.entries;
        let marker = entries.pop_if(|entry| matches!(entry, PythonEntry::Marker(_)));
        self.leaves_out |= entries.len() > before;
        entries.truncate(before);
        entries.extend(marker);
    }

    fn count_step(&mut self, frame: Addr) {
        self.steps += 1;
        self.until_kept -= 1;
        if self.until_kept == 0 {
            self.kept = frame;
            self.until_kept = self.steps;
        }
    }
}

/// Puts the stacks of one thread's several thread states into one, innermost first.
///
/// Each eval loop is one native frame, and the C stack grows down: of two eval loops the one whose marker is at the lower
/// address is the inner one. Frames without a marker (a chain that broke) stay at the end.
pub fn interleave(stacks: impl IntoIterator<Item = PythonStack>) -> PythonStack {
    let mut eval_loops: Vec<(Addr, Vec<PythonEntry>)> = Vec::new();
    let mut end = ChainEnd::Root;
    for stack in stacks {
        if end == ChainEnd::Root {
            end = stack.end;
        }
        let mut entries = Vec::new();
        for entry in stack.entries {
            entries.push(entry);
            if let PythonEntry::Marker(address) = entry {
                eval_loops.push((address, std::mem::take(&mut entries)));
            }
        }
        if !entries.is_empty() {
            eval_loops.push((Addr(u64::MAX), entries));
        }
    }
    eval_loops.sort_by_key(|(address, _)| *address);
    PythonStack { entries: eval_loops.into_iter().flat_map(|(_, entries)| entries).collect(), end }
}

impl PythonStack {
    /// Drops the frames that CPython does not show either (`_PyFrame_IsIncomplete`): those in front of their code's
    /// first traceable instruction. `first_traceable` returns that as a byte offset, or `None` where the code is unknown.
    pub fn drop_incomplete(&mut self, mut first_traceable: impl FnMut(Addr) -> Option<u32>) {
        self.entries.retain(|entry| match entry {
            PythonEntry::Marker(_) => true,
            PythonEntry::Frame(frame) => match (frame.instruction_offset, first_traceable(frame.code)) {
                (Some(offset), Some(first)) => offset >= first,
                _ => true,
            },
        });
    }
}

#[cfg(test)]
mod tests;
