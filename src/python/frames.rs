//! Walks a thread state's chain of frames.
//!
//! Does: give Python frames and markers, innermost first, from one read per frame, so that it can run on a copy while
//! the thread is stopped; stop with a reason, and go on from there when the missing memory has been fetched.
//! Does not: read code objects. So frames that CPython itself hides, because they have not reached their first traceable
//! instruction (shims such as `_Py_InitCleanup` among them), are in the result until [`PythonStack::drop_incomplete`].

use crate::python::layout::{CurrentFrame, Layout, MAX_FRAME_BYTES, MarkerRule};
use crate::python::stack::{ChainEnd, PythonEntry, PythonFrame, PythonStack};
use crate::target::memory::Memory;
use crate::types::Addr;

/// The most elements of a chain that are followed.
pub const MAX_FRAMES: usize = 100_000;
/// The most bytes of bytecode that a code object is believed to have.
const MAX_BYTECODE: u64 = 64 << 20;

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
    /// 3.11: the evaluation that the next frame runs in.
    cframe: Addr,
    /// 3.15: the frame inside the thread state that ends the chain.
    base_frame: Addr,
    /// Brent's cycle detection: the frame kept for comparison, and how many steps until a later one is kept.
    kept: Addr,
    until_kept: usize,
    steps: usize,
    /// Whether the innermost evaluation was given up: see [`FrameWalk::leave_unlinked_evaluation`].
    left: bool,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    Start,
    Frame(Addr),
}

/// What one step of the walk gives instead of the next frame.
type Step<T> = Result<T, ChainEnd>;

impl<'a> FrameWalk<'a> {
    /// A walk that has not begun.
    pub fn new(layout: &'a Layout, thread_state: Addr) -> Self {
        FrameWalk {
            layout,
            thread_state,
            stack: PythonStack { entries: Vec::new(), end: ChainEnd::Unreadable(thread_state) },
            position: Position::Start,
            cframe: Addr::NULL,
            base_frame: Addr::NULL,
            kept: Addr::NULL,
            until_kept: 1,
            steps: 0,
            left: false,
        }
    }

    /// Walks until the chain ends or a frame is not in `mem`, and says which.
    pub fn run(&mut self, mem: &impl Memory) -> ChainEnd {
        self.stack.end = loop {
            let step = match self.position {
                Position::Start => self.start(mem),
                Position::Frame(frame) => self.step(mem, frame),
            };
            match step {
                Ok(frame) => self.position = Position::Frame(frame),
                Err(ChainEnd::Torn(_)) if self.leave_unlinked_evaluation(mem) => {}
                Err(end) => break end,
            }
        };
        self.stack.end
    }

    /// Goes on with the evaluation outside the innermost one, and says whether that could be done.
    ///
    /// On 3.11 and 3.12 an evaluation links its `_PyCFrame` before it sets the pointer to its first frame. Until then
    /// that pointer is whatever was on the C stack, and the frames that really run are those of the evaluation outside.
    /// [`FrameWalk::run`] does this by itself where the pointer leads to an impossible frame, or to an evaluation that
    /// does not return to where the one outside stands; do it where it leads to memory that cannot be fetched at all.
    /// It is possible once, and before the walk has left the innermost evaluation.
    pub fn leave_unlinked_evaluation(&mut self, mem: &impl Memory) -> bool {
        let CurrentFrame::ThroughCFrame { current_frame, .. } = self.layout.thread.current_frame else {
            return false;
        };
        if self.left || !self.is_in_innermost_evaluation() || matches!(self.position, Position::Start) {
            return false;
        }
        let Some(outer) = self.outer_cframe(mem).ok().filter(|outer| !outer.is_null()) else { return false };
        let Ok(frame) = mem.read_addr(outer.wrapping_add(current_frame)) else { return false };
        self.stack.entries.clear();
        (self.left, self.cframe, self.position) = (true, outer, Position::Frame(frame));
        (self.kept, self.until_kept) = (Addr::NULL, 1);
        true
    }

    fn is_in_innermost_evaluation(&self) -> bool {
        !self.stack.entries.iter().any(|entry| matches!(entry, PythonEntry::Marker(_)))
    }

    /// The `_PyCFrame` of the evaluation outside the one that the walk is in.
    fn outer_cframe(&self, mem: &impl Memory) -> Step<Addr> {
        match self.layout.thread.current_frame {
            CurrentFrame::ThroughCFrame { previous, .. } => pointer(mem, self.cframe.wrapping_add(previous)),
            CurrentFrame::Direct(_) => Ok(Addr::NULL),
        }
    }

    /// Whether the chain has come to its root inside the innermost evaluation though there is one outside: a pointer that
    /// is not set yet can be null, too.
    fn is_cut_short(&self, mem: &impl Memory) -> Step<bool> {
        Ok(!self.left && self.is_in_innermost_evaluation() && !self.outer_cframe(mem)?.is_null())
    }

    /// Whether the innermost evaluation, which ends in a frame that returns to `previous`, is linked: an evaluation
    /// returns to the frame at which the one outside stands. A pointer left over from an earlier evaluation at the same
    /// depth of the C stack may lead to frames that look right and have gone.
    fn is_linked(&self, mem: &impl Memory, previous: Addr) -> Step<bool> {
        let CurrentFrame::ThroughCFrame { current_frame, .. } = self.layout.thread.current_frame else {
            return Ok(true);
        };
        if !self.is_in_innermost_evaluation() {
            return Ok(true);
        }
        let outer = self.outer_cframe(mem)?;
        let stands_at = if outer.is_null() { outer } else { pointer(mem, outer.wrapping_add(current_frame))? };
        Ok(stands_at == previous)
    }

    /// What has been walked.
    pub fn stack(&self) -> &PythonStack {
        &self.stack
    }

    /// What has been walked.
    pub fn into_stack(self) -> PythonStack {
        self.stack
    }

    /// From the thread state to the innermost frame.
    fn start(&mut self, mem: &impl Memory) -> Step<Addr> {
        if let MarkerRule::FrameOwner { base_frame: Some(offset), .. } = self.layout.markers {
            self.base_frame = pointer(mem, self.thread_state.wrapping_add(offset))?;
        }
        match self.layout.thread.current_frame {
            CurrentFrame::Direct(offset) => pointer(mem, self.thread_state.wrapping_add(offset)),
            CurrentFrame::ThroughCFrame { cframe, current_frame, .. } => {
                self.cframe = pointer(mem, self.thread_state.wrapping_add(cframe))?;
                let frame = pointer(mem, self.cframe.wrapping_add(current_frame))?;
                self.skip_empty_evaluation(mem, frame)?;
                Ok(frame)
            }
        }
    }

    /// 3.11: an evaluation that is about to return has given up its last frame but is still linked. It has no frames:
    /// those that its `_PyCFrame` points to run in the evaluation outside it.
    fn skip_empty_evaluation(&mut self, mem: &impl Memory, frame: Addr) -> Step<()> {
        if let MarkerRule::CFrameChain { current_frame, previous, .. } = self.layout.markers {
            let outer = pointer(mem, self.cframe.wrapping_add(previous))?;
            if !outer.is_null() && pointer(mem, outer.wrapping_add(current_frame))? == frame {
                self.cframe = outer;
            }
        }
        Ok(())
    }

    /// Records the frame at `frame` and gives the one that it returns to.
    fn step(&mut self, mem: &impl Memory, frame: Addr) -> Step<Addr> {
        if frame.is_null() || frame == self.base_frame {
            let end = if self.is_cut_short(mem)? { ChainEnd::Torn(frame) } else { ChainEnd::Root };
            return Err(end);
        }
        if !is_aligned(frame) {
            return Err(ChainEnd::Torn(frame));
        }
        if self.steps >= MAX_FRAMES || frame == self.kept {
            return Err(ChainEnd::TooDeep);
        }
        let fields = &self.layout.frame;
        let mut buf = [0; MAX_FRAME_BYTES];
        let bytes = buf.get_mut(..fields.read_len).ok_or(ChainEnd::Torn(frame))?;
        mem.read(frame, bytes).map_err(|_| ChainEnd::Unreadable(frame))?;
        let torn = ChainEnd::Torn(frame);
        let previous = word(bytes, fields.previous).map(Addr::of_pointer).filter(|p| is_aligned(*p)).ok_or(torn)?;
        let owner = bytes.get(fields.owner).copied().filter(|owner| *owner <= fields.max_owner).ok_or(torn)?;
        match self.layout.markers {
            MarkerRule::FrameOwner { owner: marker, .. } if owner >= marker => {
                if !self.is_linked(mem, previous)? {
                    return Err(torn);
                }
                self.stack.entries.push(PythonEntry::Marker(frame));
            }
            MarkerRule::FrameOwner { .. } => {
                let entry = self.python_frame(frame, bytes).ok_or(torn)?;
                self.stack.entries.push(PythonEntry::Frame(entry));
            }
            MarkerRule::CFrameChain { is_entry, .. } => {
                let entry = self.python_frame(frame, bytes).ok_or(torn)?;
                match bytes.get(is_entry) {
                    Some(0) => self.stack.entries.push(PythonEntry::Frame(entry)),
                    Some(1) => {
                        // Read before anything is recorded: a walk that is continued comes here again.
                        if !self.is_linked(mem, previous)? {
                            return Err(torn);
                        }
                        let outer = self.outer_cframe(mem)?;
                        self.stack.entries.push(PythonEntry::Frame(entry));
                        self.stack.entries.push(PythonEntry::Marker(self.cframe));
                        self.cframe = outer;
                    }
                    _ => return Err(torn),
                }
            }
        }
        self.count_step(frame);
        Ok(previous)
    }

    fn count_step(&mut self, frame: Addr) {
        self.steps += 1;
        self.until_kept -= 1;
        if self.until_kept == 0 {
            self.kept = frame;
            self.until_kept = self.steps;
        }
    }

    /// The Python frame in `bytes`, or `None` when they cannot be one.
    fn python_frame(&self, frame: Addr, bytes: &[u8]) -> Option<PythonFrame> {
        let fields = &self.layout.frame;
        let code = Addr::of_pointer(word(bytes, fields.executable)? & !fields.tag_bits);
        if code.is_null() || !is_aligned(code) {
            return None;
        }
        let own_bytecode = match fields.bytecode_copy {
            Some(index) => bytes.get(index..index.checked_add(4)?)? == [0; 4],
            None => true,
        };
        let first = code.0.checked_add(self.layout.code.bytecode as u64)?;
        let instruction = Addr::of_pointer(word(bytes, fields.instruction)?).0;
        // `prev_instr` of a frame that has not begun is the code unit in front of the first one.
        let offset = if instruction.checked_add(2) == Some(first) { Some(0) } else { instruction.checked_sub(first) };
        let instruction_offset = offset.filter(|o| own_bytecode && o.is_multiple_of(2) && *o < MAX_BYTECODE);
        Some(PythonFrame { frame, code, instruction_offset: instruction_offset.and_then(|o| u32::try_from(o).ok()) })
    }
}

/// Puts the stacks of one thread's several thread states into one, innermost first.
///
/// Each evaluation of bytecode is one native frame, and the C stack grows down: of two evaluations the one whose marker
/// is at the lower address is the inner one. Frames without a marker (a chain that broke) stay at the end.
pub fn interleave(stacks: impl IntoIterator<Item = PythonStack>) -> PythonStack {
    let mut evaluations: Vec<(Addr, Vec<PythonEntry>)> = Vec::new();
    let mut end = ChainEnd::Root;
    for stack in stacks {
        if end == ChainEnd::Root {
            end = stack.end;
        }
        let mut entries = Vec::new();
        for entry in stack.entries {
            entries.push(entry);
            if let PythonEntry::Marker(address) = entry {
                evaluations.push((address, std::mem::take(&mut entries)));
            }
        }
        if !entries.is_empty() {
            evaluations.push((Addr(u64::MAX), entries));
        }
    }
    evaluations.sort_by_key(|(address, _)| *address);
    PythonStack { entries: evaluations.into_iter().flat_map(|(_, entries)| entries).collect(), end }
}

impl PythonStack {
    /// Drops the frames that CPython does not show either (`_PyFrame_IsIncomplete`): those in front of their code's
    /// first traceable instruction. `first_traceable` gives that as a byte offset, or `None` where the code is unknown.
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

fn is_aligned(addr: Addr) -> bool {
    addr.0.is_multiple_of(8)
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    let word = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

fn pointer(mem: &impl Memory, addr: Addr) -> Step<Addr> {
    mem.read_addr(addr).map_err(|_| ChainEnd::Unreadable(addr))
}

#[cfg(test)]
mod tests;
