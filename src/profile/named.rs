//! One element of a recorded stack with its names, before it is chosen which native frames are shown.
//!
//! Does: hold them. Does not: find names, or choose.

use serde::{Deserialize, Serialize};

use super::frame::Frame;

/// An element with its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFrame {
    /// What it is shown as, outermost first: more than one where functions were inlined.
    pub frames: Vec<Frame>,
    /// What it is to the choice of native frames.
    pub role: Role,
}

/// What an element is to the choice of native frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Not code: always shown.
    Always,
    /// Python code.
    Python,
    /// The evaluation of the Python code inside it.
    Evaluation,
    /// A native function.
    Native,
    /// A function of the interpreter that has no name.
    UnnamedInterpreter,
}

impl NamedFrame {
    /// What is no code.
    pub fn always(frame: Frame) -> NamedFrame {
        NamedFrame { frames: vec![frame], role: Role::Always }
    }
}
