//! Which threads are sampled: what a user asks for, and what a recording says.
//!
//! Does: define it. Does not: choose threads; the session does.

use serde::{Deserialize, Serialize};

/// Which threads are sampled. Recordings have their own words for it, which never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Those that run or wait for a CPU.
    #[serde(rename = "Running")]
    Cpu,
    /// All.
    #[serde(rename = "All")]
    Wall,
    /// Those that hold a GIL.
    #[serde(rename = "GilHolder")]
    Gil,
}

impl Mode {
    /// The word for it on the command line, and in what is written for programs.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Cpu => "cpu",
            Mode::Wall => "wall",
            Mode::Gil => "gil",
        }
    }
}
