//! Room in memory, as what unfolds a hostile file asks for it.
//!
//! Does: define the question, so that stages that make no system call can ask it. Does not: know how much memory there is;
//! `target::memory_budget` does.

use std::fmt;

/// Who tells whether something still fits into memory.
pub trait Room {
    /// Whether so many bytes more may be taken. Asked before they are, also for parts of a whole that has no known end.
    fn take(&mut self, bytes: u64) -> bool;
}

/// Room without a bound, for what bounds itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unbounded;

impl Room for Unbounded {
    fn take(&mut self, _bytes: u64) -> bool {
        true
    }
}

/// An amount of memory in bytes, as people write it: `512 MB`. A MB is 2^20 bytes here, as in what the kernel tells of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemorySize(pub u64);

/// The units, the largest first.
const UNITS: [(&str, u64); 3] = [("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)];

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.into_iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match whole {
            Some((name, unit)) => write!(f, "{} {name}", self.0 / unit),
            None if self.0 >= 1 << 20 => write!(f, "{:.1} MB", self.0 as f64 / f64::from(1 << 20)),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl MemorySize {
    /// Reads `512MB`, `2 GB`, `1.5G` or a number of bytes; `None` for anything else.
    pub fn parse(text: &str) -> Option<MemorySize> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit = unit.trim_start().to_ascii_lowercase();
        let factor = match unit.as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1_u64 << 30,
            _ => return None,
        };
        let bytes = number.parse::<f64>().ok()? * factor as f64;
        (bytes.is_finite() && bytes < 1e18).then_some(MemorySize(bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        let bytes = |text| MemorySize::parse(text).map(|size| size.0);
        assert_eq!(
            ["512MB", "2 GB", "1.5G", "64m", "100"].map(bytes),
            [512 << 20, 2 << 30, 3 << 29, 64 << 20, 100].map(Some)
        );
        assert_eq!(["", "MB", "5 apples", "1e400", "9999999999GB", "-5MB", "1..2MB"].map(bytes), [None; 7]);
        let texts =
            [512 << 20, 2 << 30, 3 << 29, (1 << 20) + (1 << 19) + 1, 100].map(|size| MemorySize(size).to_string());
        assert_eq!(texts, ["512 MB", "2 GB", "1536 MB", "1.5 MB", "100 bytes"]);
    }
}
