//! Filling a [`Captured`]: the bulk reads that both ways of capturing share.
//!
//! Does: copy the stack and the planned ranges in one call, then what turns out to be missing, bounded.
//! Does not: stop or watch the thread.

use super::captured::Captured;
use super::native;
use super::range::Range;
use crate::target::memory::{BulkMemory, PAGE, RangeRead};
use crate::types::Addr;

/// How many times what is missing is fetched, at some 2 µs each. Each round adds one step of a chain (a generator's frame that
/// lies far from the one before) or many (its neighbours are read with it); a chain that needs more is cut.
const MAX_ROUNDS: usize = 4096;
/// The most that is copied of a stack: a whole thread stack of the default 8 MiB.
const MAX_STACK: u64 = 8 << 20;

/// Stack pointers vary: so many bytes more are copied ahead, as far as they are in the same page, for a copy that begins too high is
/// taken again while the thread stands still. Of 69 such copies of a program of calls, generators and built-in functions 68 had begun
/// less than 400 bytes too high.
const DEEPER: u64 = 512;

/// What to copy from a thread.
pub trait Plan {
    /// A capture begins; one that was not consistent begins anew.
    fn begin(&mut self);
    /// How far up the stack goes, given its stack pointer.
    fn stack_end(&self, sp: Addr) -> Addr;
    /// What else to copy with the stack: what the last capture of this thread needed.
    fn ranges(&self) -> &[Range];
    /// The lowest stack pointer that is likely, from the last captures of this thread; `None` if it is not known or the
    /// thread is not expected to run.
    fn likely_sp(&self) -> Option<Addr>;
    /// What a complete sample still lacks, given all that was copied so far; left empty when it is complete.
    /// Called while the thread stands still: it must be quick.
    fn missing(&mut self, captured: &Captured, missing: &mut Vec<Range>);
    /// What is missing will not be copied, because it is too much: the sample ends there.
    fn cut(&mut self);
}

/// Copies what the last capture needed and forgets it: the copy that counts, taken while the thread stands still, then
/// finds the kernel's code, the target's page tables and our own buffers in the caches. Without this the first copy after
/// a pause takes three times as long.
pub(super) fn warm_up(captured: &mut Captured, memory: &dyn BulkMemory, plan: &dyn Plan) {
    copy_ahead(captured, memory, plan);
    captured.reset();
}

/// Copies what is likely to be asked for, before the registers are known: ptrace(2) makes us wait until the thread has
/// left its CPU before it gives them (`wait_task_inactive` in the kernel), and the memory of a thread that has reported its
/// stop does not change any more.
pub(super) fn copy_ahead(captured: &mut Captured, memory: &dyn BulkMemory, plan: &dyn Plan) {
    if let Some(sp) = plan.likely_sp() {
        let Range { start, len } = stack_window(plan, sp);
        let deeper = (start.0 % PAGE).min(DEEPER);
        let window = Range { start: Addr(start.0 - deeper), len: len.saturating_add(deeper as usize) };
        copy_stack(captured, memory, window, plan.ranges());
    }
}

/// Copies what `plan` asks for and has not been copied ahead. The registers are already in `captured`.
pub(super) fn fill(captured: &mut Captured, memory: &dyn BulkMemory, plan: &mut dyn Plan) {
    plan.begin();
    let sp = Addr(captured.registers.get(native::SP).unwrap_or(0));
    let window = stack_window(plan, sp);
    if captured.asked == Range::default() {
        copy_stack(captured, memory, window, plan.ranges());
    } else if window.start < captured.asked.start || window.end() > captured.asked.end() {
        copy_stack(captured, memory, window, &[]);
    }
    let mut missing = Vec::new();
    for _ in 0..MAX_ROUNDS {
        missing.clear();
        plan.missing(captured, &mut missing);
        if missing.is_empty() {
            return;
        }
        if captured.copies.is_full() {
            break;
        }
        captured.copies.add(memory, None, &missing);
    }
    plan.cut();
}

/// Copies a stack and `ranges` with one system call.
fn copy_stack(captured: &mut Captured, memory: &dyn BulkMemory, window: Range, ranges: &[Range]) {
    captured.asked = window;
    fill_stack(captured, memory, window, ranges);
    if captured.stack.bytes.is_empty()
        && let Some(start) = first_readable(memory, window)
    {
        let len = window.end().saturating_sub(start.0) as usize;
        fill_stack(captured, memory, Range { start, len }, &[]);
    }
}

fn fill_stack(captured: &mut Captured, memory: &dyn BulkMemory, window: Range, ranges: &[Range]) {
    let Captured { stack, copies, .. } = captured;
    stack.start = window.start;
    stack.bytes.resize(window.len, 0);
    let read = RangeRead { addr: stack.start, into: &mut stack.bytes };
    let filled = copies.add(memory, Some(read), ranges);
    stack.bytes.truncate(filled);
}

/// The first page of a stack that is there, if the one that it begins in is not. Where a stack is as deep as it has ever been,
/// there are none yet below what was written last: those of the red zone, or of a frame that has reserved more than it has used.
fn first_readable(memory: &dyn BulkMemory, window: Range) -> Option<Addr> {
    let mut missing = window.start.0 / PAGE;
    let last = (window.end().saturating_sub(1) / PAGE).max(missing);
    let is_there = |page: u64| memory.read_u8(Addr(page * PAGE)).is_ok();
    // All pages above one that is there are there, too: in steps that double, and then by halves.
    let (mut there, mut step) = (missing.saturating_add(1).min(last), 1);
    while !is_there(there) {
        if there == last {
            return None;
        }
        missing = there;
        step *= 2;
        there = there.saturating_add(step).min(last);
    }
    while there - missing > 1 {
        let middle = missing + (there - missing) / 2;
        if is_there(middle) { there = middle } else { missing = middle }
    }
    Some(Addr(there * PAGE))
}

/// What is copied of a stack whose pointer is `sp`.
fn stack_window(plan: &dyn Plan, sp: Addr) -> Range {
    let start = Addr(sp.0.saturating_sub(native::RED_ZONE));
    let len = plan.stack_end(sp).0.saturating_sub(start.0).min(MAX_STACK) as usize;
    Range { start, len }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::maps::Mappings;
    use crate::target::memory::Region;
    use crate::target::process_memory::ProcessMemory;
    use crate::types::Pid;

    /// A stack that goes up to `end`, and nothing beside it.
    struct StackTo(Addr);

    impl Plan for StackTo {
        fn begin(&mut self) {}
        fn stack_end(&self, _: Addr) -> Addr {
            self.0
        }
        fn ranges(&self) -> &[Range] {
            &[]
        }
        fn likely_sp(&self) -> Option<Addr> {
            None
        }
        fn missing(&mut self, _: &Captured, _: &mut Vec<Range>) {}
        fn cut(&mut self) {}
    }

    /// A page of this process below which there is nothing.
    fn lowest_page() -> Addr {
        let own = Mappings::parse(&std::fs::read("/proc/self/maps").unwrap());
        own.iter().next().unwrap().start
    }

    fn filled(sp: u64, end: u64) -> Region {
        let mut captured = Captured::default();
        captured.registers.set(native::SP, sp);
        fill(&mut captured, &ProcessMemory::new(Pid(std::process::id() as i32)), &mut StackTo(Addr(end)));
        captured.stack
    }

    #[test]
    fn a_stack_whose_lowest_pages_are_not_there_yet_is_copied_from_the_first_that_is() {
        let page = lowest_page();
        let end = page.0 + PAGE;
        let whole = filled(page.0 + native::RED_ZONE, end);
        assert_eq!((whole.start, whole.bytes.len() as u64), (page, PAGE));
        // In the red zone, in the page below, in others further below.
        let below = (1..40).chain([130, 1000]).map(|pages| page.0 - pages * PAGE + 8);
        for sp in below.chain([page.0 + native::RED_ZONE - 8, page.0 - 8]) {
            assert_eq!(filled(sp, end), whole, "{sp:#x}");
        }
        assert!(
            filled(page.0 - 4 * PAGE, page.0 - 2 * PAGE).bytes.is_empty(),
            "of a stack that is nowhere there is nothing"
        );
    }
}
