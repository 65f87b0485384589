//! Chains in memory: what real interpreters show only now and then, and what hostile ones may.

use super::*;
use crate::python::layout::{CFrameChain, ChainLayout, Version, by_table};
use crate::python::stack::PythonFrame;
use crate::target::memory::{Region, Regions};

const THREAD: Addr = Addr(0x1000);
const CODE: u64 = 0x10_0000;

/// A target with a thread state, frames of 0x100 bytes from 0x2000 on, and C stack objects from 0x9000 on.
struct Target {
    layout: Layout,
    bytes: Vec<u8>,
}

impl Target {
    fn new(minor: u8) -> Target {
        let layout = by_table(Version::new(3, minor)).unwrap().unwrap();
        Target { layout, bytes: vec![0; 0xa000] }
    }

    fn set(&mut self, addr: u64, value: u64) {
        let start = (addr - THREAD.0) as usize;
        self.bytes[start..start + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn set_byte(&mut self, addr: u64, value: u8) {
        self.bytes[(addr - THREAD.0) as usize] = value;
    }

    /// A frame that executes the instruction at offset 10.
    fn frame(&mut self, addr: u64, previous: u64) {
        let fields = self.layout.frame;
        self.set(addr + fields.previous as u64, previous);
        self.set(addr + fields.executable as u64, CODE);
        self.set(addr + fields.instruction as u64, CODE + self.layout.code.bytecode as u64 + 10);
    }

    /// A `_PyCFrame` of 3.11 or 3.12.
    fn cframe(&mut self, addr: u64, frame: u64, previous: u64) {
        let ChainLayout::CFrame(CFrameChain { current_frame, .. }) = self.layout.chain else { panic!() };
        self.set(addr + current_frame, frame);
        self.set(addr + current_frame + 8, previous);
    }

    fn memory(&self) -> Region {
        Region { start: THREAD, bytes: self.bytes.clone() }
    }

    fn walk(&self) -> PythonStack {
        walk(&self.layout, &self.memory(), THREAD)
    }
}

fn frame(addr: u64) -> PythonEntry {
    PythonEntry::Frame(PythonFrame { frame: Addr(addr), code: Addr(CODE), instruction_offset: Some(10) })
}

fn marker(addr: u64) -> PythonEntry {
    PythonEntry::Marker(Addr(addr))
}

/// 3.11: two eval loops, the inner one of two frames.
fn two_eval_loops() -> Target {
    let mut target = Target::new(11);
    target.set(THREAD.0 + 56, 0x9000);
    target.cframe(0x9000, 0x2000, 0x9100);
    target.cframe(0x9100, 0x2200, 0x1800);
    target.frame(0x2000, 0x2100);
    target.frame(0x2100, 0x2200);
    target.set_byte(0x2100 + 68, 1);
    target.frame(0x2200, 0);
    target.set_byte(0x2200 + 68, 1);
    target
}

/// 3.12: one eval loop of two frames, with its entry frame on the C stack.
fn one_eval_loop() -> Target {
    let mut target = Target::new(12);
    target.set(THREAD.0 + 56, 0x9000);
    target.cframe(0x9000, 0x2000, 0x1800);
    target.frame(0x2000, 0x2100);
    target.frame(0x2100, 0x9200);
    target.frame(0x9200, 0);
    target.set_byte(0x9200 + 70, 3);
    target
}

#[test]
fn entry_frames_end_the_eval_loops_of_3_11() {
    let stack = two_eval_loops().walk();
    assert_eq!(stack.end, ChainEnd::Root);
    assert_eq!(stack.entries, [frame(0x2000), frame(0x2100), marker(0x9000), frame(0x2200), marker(0x9100)]);
}

#[test]
fn an_eval_loop_of_3_11_that_is_about_to_return_has_no_frames() {
    let mut target = two_eval_loops();
    target.cframe(0x9000, 0x2200, 0x9100);
    assert_eq!(target.walk().entries, [frame(0x2200), marker(0x9100)]);
}

#[test]
fn frames_on_the_c_stack_end_the_eval_loops_of_3_12() {
    let stack = one_eval_loop().walk();
    assert_eq!(stack.end, ChainEnd::Root);
    assert_eq!(stack.entries, [frame(0x2000), frame(0x2100), marker(0x9200)]);
}

#[test]
fn a_thread_state_without_frames_is_complete() {
    let mut target = Target::new(12);
    target.set(THREAD.0 + 56, 0x1800);
    let stack = target.walk();
    assert_eq!((stack.entries, stack.end), (vec![], ChainEnd::Root));
}

#[test]
fn impossible_frames_are_torn() {
    type Damage = fn(&mut Target);
    let damages: [Damage; 4] = [
        |t| t.set(0x2100, 0),             // no code
        |t| t.set(0x2100, CODE + 1),      // code that is not aligned
        |t| t.set(0x2100 + 8, 0x9201),    // a previous frame that is not aligned
        |t| t.set_byte(0x2100 + 70, 200), // no such owner
    ];
    for damage in damages {
        let mut target = one_eval_loop();
        // One more eval loop, called by the frame at 0x2000: impossible frames outside it cannot be its own.
        target.frame(0x2400, 0x9600);
        target.frame(0x9600, 0x2000);
        target.set_byte(0x9600 + 70, 3);
        target.cframe(0x9400, 0x2400, 0x9000);
        target.set(THREAD.0 + 56, 0x9400);
        damage(&mut target);
        let stack = target.walk();
        let expected = vec![frame(0x2400), marker(0x9600), frame(0x2000)];
        assert_eq!((stack.entries, stack.end), (expected, ChainEnd::Torn(Addr(0x2100))));
    }
}

#[test]
fn an_eval_loop_that_has_not_linked_its_frame_is_left_out() {
    for mut target in [two_eval_loops(), one_eval_loop()] {
        let outer = target.walk().entries;
        // A _PyCFrame with garbage for its frame, or none, inside those that are linked already.
        for garbage in [0x2001, 0] {
            target.cframe(0x9400, garbage, 0x9000);
            target.set(THREAD.0 + 56, 0x9400);
            let stack = target.walk();
            assert_eq!((stack.entries, stack.end), (outer.clone(), ChainEnd::Root));
        }
    }
}

#[test]
fn an_eval_loop_with_a_pointer_left_over_from_an_earlier_one_is_left_out() {
    let mut target = one_eval_loop();
    let outer = target.walk().entries;
    // Frames that look right, in an eval loop that returns to a frame which is not the one that called.
    target.frame(0x2400, 0x9600);
    target.frame(0x9600, 0x2100);
    target.set_byte(0x9600 + 70, 3);
    target.cframe(0x9400, 0x2400, 0x9000);
    target.set(THREAD.0 + 56, 0x9400);
    let stack = target.walk();
    assert_eq!((stack.entries, stack.end), (outer, ChainEnd::Root));
}

#[test]
fn an_instruction_outside_the_code_is_unknown() {
    let mut target = one_eval_loop();
    target.set(0x2000 + 56, CODE);
    let PythonEntry::Frame(first) = target.walk().entries[0] else { panic!() };
    assert_eq!(first.instruction_offset, None);
}

#[test]
fn tags_in_pointers_are_no_part_of_addresses() {
    for mut target in [two_eval_loops(), one_eval_loop()] {
        let untagged = target.walk();
        assert!(untagged.entries.len() > 1);
        for word in target.bytes.as_chunks_mut::<8>().0 {
            // A tag of its own for each pointer, as memory tagging gives them.
            let value = u64::from_le_bytes(*word);
            if (0x1000..0x20_0000).contains(&value) {
                *word = (value | (value >> 4 & 0xf) << 56).to_le_bytes();
            }
        }
        assert_eq!(target.walk(), untagged);
    }
}

#[test]
fn a_cycle_ends_the_walk() {
    let mut target = one_eval_loop();
    target.frame(0x2100, 0x2000);
    let stack = target.walk();
    assert_eq!(stack.end, ChainEnd::TooDeep);
    assert!(stack.entries.len() < 10);
}

/// One eval loop of so many frames, a marker, and one of a single frame.
fn deep(frames: u64) -> (Layout, Region) {
    let mut target = Target::new(12);
    let (size, first) = (0x60, 0x2000);
    let second_last = first + size * frames;
    let end = second_last + 3 * size;
    target.bytes.resize((end.max(0xb000) - THREAD.0) as usize, 0);
    target.set(THREAD.0 + 56, 0x1100);
    target.cframe(0x1100, first, 0x1200);
    target.cframe(0x1200, second_last + size, 0x1800);
    for frame in 0..=frames + 2 {
        let addr = first + size * frame;
        target.frame(addr, if frame == frames + 2 { 0 } else { addr + size });
    }
    for entry in [second_last, second_last + 2 * size] {
        target.set_byte(entry + 70, 3);
    }
    let memory = target.memory();
    (target.layout, memory)
}

#[test]
fn of_too_many_frames_the_inner_ones_are_kept_and_all_markers() {
    for (frames, left_out) in [(10, false), (MAX_ENTRIES as u64 - 3, false), (MAX_ENTRIES as u64 + 10, true)] {
        let (layout, memory) = deep(frames);
        let stack = walk(&layout, &memory, THREAD);
        let markers = stack.entries.iter().filter(|entry| matches!(entry, PythonEntry::Marker(_))).count();
        let kept = stack.entries.len() - markers;
        assert_eq!((stack.end == ChainEnd::TooDeep, markers), (left_out, 2), "{frames}");
        assert_eq!(kept, if left_out { MAX_ENTRIES } else { frames as usize + 1 }, "{frames}");
        assert_eq!(stack.entries[0], frame(0x2000));
    }
}

#[test]
fn a_walk_that_is_given_up_says_that_it_was_too_much() {
    let (layout, mut memory) = deep(10);
    memory.bytes.truncate(0x1000 + 0x60 * 5);
    let mut walk = FrameWalk::new(&layout, THREAD);
    assert!(matches!(walk.run(&memory), ChainEnd::Unreadable(_)));
    walk.cut();
    assert_eq!((walk.stack().end, walk.stack().entries.len()), (ChainEnd::TooDeep, 5));
}

#[test]
fn a_walk_goes_on_where_memory_was_missing() {
    for target in [two_eval_loops(), one_eval_loop()] {
        let whole = target.memory();
        let mut walk = FrameWalk::new(&target.layout, THREAD);
        let mut copy = Regions::default();
        let mut fetched = 0;
        while let ChainEnd::Unreadable(addr) = walk.run(&copy) {
            let bytes = whole.slice(addr, 0x80).unwrap().to_vec();
            copy.push(Region { start: addr, bytes });
            fetched += 1;
            assert!(fetched < 20, "no progress at {addr}");
        }
        assert_eq!(walk.into_stack(), target.walk());
    }
}

#[test]
fn frames_in_front_of_their_first_traceable_instruction_are_dropped() {
    let mut stack = one_eval_loop().walk();
    stack.drop_incomplete(|_| Some(12));
    assert_eq!(stack.entries, [marker(0x9200)]);
    let mut stack = one_eval_loop().walk();
    stack.drop_incomplete(|_| Some(10));
    assert_eq!(stack.entries.len(), 3);
}

#[test]
fn the_stacks_of_one_thread_are_put_in_the_order_of_the_c_stack() {
    let stack = |entries: &[PythonEntry]| PythonStack { entries: entries.to_vec(), end: ChainEnd::Root };
    let outer = stack(&[frame(1), marker(0x7000), frame(2), frame(3), marker(0x9000)]);
    let inner = stack(&[frame(4), marker(0x6000), frame(5), marker(0x8000)]);
    let all = interleave([outer, inner]);
    let order = [
        frame(4),
        marker(0x6000),
        frame(1),
        marker(0x7000),
        frame(5),
        marker(0x8000),
        frame(2),
        frame(3),
        marker(0x9000),
    ];
    assert_eq!(all, stack(&order));
}
