//! `--max-memory`, which every command has that reads what it must not trust.
//!
//! Does: declare it, set the bound, and say in the end what was left out for it. Does not: measure memory.

use clap::Args;

use super::messages::say;
use crate::target::memory_budget;
use crate::types::room::MemorySize;

/// The default beside a target, whose memory it is, too.
const BESIDE_A_TARGET: MemorySize = MemorySize(128 << 20);
/// The default of what reads recordings.
const ALONE: MemorySize = MemorySize(512 << 20);
/// With less, fpprof itself would not fit.
const LEAST: MemorySize = MemorySize(24 << 20);

/// `--max-memory`.
#[derive(Debug, Clone, Copy, Args)]
pub struct MemoryArgs {
    /// The most memory that fpprof may take, whatever the files that it reads unfold to: `512MB`, `2GB`. What does not fit is left out,
    /// and said to be. [default: 128MB beside a process, 512MB for `report` and `diff`]
    #[arg(long, value_name = "SIZE", value_parser = parse)]
    pub max_memory: Option<MemorySize>,
}

impl MemoryArgs {
    /// Sets the bound of a command that runs beside a target.
    pub fn apply_beside_a_target(self) {
        memory_budget::set_limit(self.max_memory.unwrap_or(BESIDE_A_TARGET));
    }

    /// Sets the bound of a command that runs alone.
    pub fn apply_alone(self) {
        memory_budget::set_limit(self.max_memory.unwrap_or(ALONE));
    }
}

/// Says what was left out.
pub fn tell_left_out() {
    for what in memory_budget::left_out() {
        say(format_args!("fpprof: warning: left out: {what}"));
    }
}

fn parse(text: &str) -> Result<MemorySize, String> {
    let size = MemorySize::parse(text).ok_or("write a number with kB, MB or GB: 512MB, 2GB")?;
    if size < LEAST {
        return Err(format!("fpprof itself takes some {LEAST}: allow as much at least"));
    }
    Ok(size)
}
