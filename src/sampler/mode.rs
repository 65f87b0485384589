//! Which threads are sampled: what a user asks for.

/// Which threads to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those that run or wait for a CPU.
    Cpu,
    /// All.
    Wall,
    /// Those that hold a GIL.
    Gil,
}
