//! Reading one thread of a target in which there is no interpreter that can be read: its native stack alone.
//!
//! Does: capture a thread that does not run any more, and unwind it. Does not: read Python, or stop a thread.

use std::io;
use std::sync::Arc;

use super::code_space::CodeSpace;
use crate::capture::blocked::BlockedError;
use crate::capture::captured::Captured;
use crate::capture::range::Range;
use crate::capture::read::Plan;
use crate::capture::{native, still};
use crate::merge::resync::EvalFrameModel;
use crate::stack::code_cache::CodeCache;
use crate::stack::frame::SampleFrame;
use crate::stack::journey::Journey;
use crate::stack::moment::Moment;
use crate::target::maps::Mappings;
use crate::target::threads::{SystemCall, Thread};
use crate::target::view::Target;
use crate::types::Addr;

/// What is copied of a stack that is in no mapping.
const UNKNOWN_STACK: u64 = 256 << 10;

/// What was read of a thread.
#[derive(Debug)]
pub struct NativeReading {
    /// Its frames, innermost first.
    pub frames: Arc<[SampleFrame]>,
    /// The system call in which it was blocked.
    pub call: Option<SystemCall>,
}

/// Reads the native stacks of one target.
#[derive(Debug)]
pub struct NativeReader {
    /// The target's code.
    pub space: CodeSpace,
    /// Code objects: none.
    codes: CodeCache,
    target: Arc<dyn Target>,
    journey: Journey,
    captured: Captured,
}

/// A stack, and nothing beside it.
struct StackOnly<'a>(&'a Mappings);

impl NativeReader {
    /// Opens the modules of a target.
    ///
    /// # Errors
    /// When its mappings cannot be told.
    pub fn new(target: Arc<dyn Target>) -> io::Result<NativeReader> {
        Ok(NativeReader {
            space: CodeSpace::new(Arc::clone(&target), Arc::default())?,
            codes: CodeCache::default(),
            target,
            journey: Journey::new(native::MACHINE, EvalFrameModel::default()),
            captured: Captured::default(),
        })
    }

    /// What is read.
    pub fn target(&self) -> &dyn Target {
        &*self.target
    }

    /// Reads a thread that does not run any more.
    ///
    /// # Errors
    /// When the thread is a live one.
    pub fn read(&mut self, thread: &Thread) -> Result<NativeReading, BlockedError> {
        let NativeReader { space, codes, target, journey, captured } = self;
        still::capture(thread, target.memory(), &mut StackOnly(&space.mappings), captured)?;
        let moment =
            Moment { registers: &captured.registers, stack: &captured.stack, addresses: &space.addresses, codes };
        journey.unwind(moment);
        journey.merge(moment, None);
        Ok(NativeReading { frames: journey.resolve(moment), call: captured.system_call })
    }
}

impl Plan for StackOnly<'_> {
    fn begin(&mut self) {}

    fn stack_end(&self, sp: Addr) -> Addr {
        self.0.find_stack(sp).map_or(sp.wrapping_add(UNKNOWN_STACK), |mapping| mapping.end)
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
