//! Where the eval loop's function lies in memory: by it an eval frame is known whose Python frames are not.
//!
//! Does: hold the function's parts (a compiler splits it; most of its instructions can be in a part that no symbol covers)
//! and tell whether an instruction is in one.
//! Does not: look for them. Pure.

use crate::types::Addr;

/// More parts than this no compiler makes of one function: what else is said to be one is not kept.
const MAX_PARTS: usize = 16;

/// The instructions of the eval loop's function, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvalCode {
    /// `[start, end)` of each part.
    parts: Vec<(Addr, Addr)>,
}

impl EvalCode {
    /// Adds a part of the function, once.
    pub fn add(&mut self, start: Addr, end: Addr) {
        if start < end && self.parts.len() < MAX_PARTS && !self.parts.contains(&(start, end)) {
            self.parts.push((start, end));
        }
    }

    /// Whether the instruction at `addr` is one of the function's.
    pub fn holds(&self, addr: Addr) -> bool {
        self.parts.iter().any(|(start, end)| (*start..*end).contains(&addr))
    }

    /// The parts that are known, as `(start, end)`.
    pub fn parts(&self) -> &[(Addr, Addr)] {
        &self.parts
    }
}

impl FromIterator<(Addr, Addr)> for EvalCode {
    fn from_iter<T: IntoIterator<Item = (Addr, Addr)>>(parts: T) -> EvalCode {
        let mut code = EvalCode::default();
        parts.into_iter().for_each(|(start, end)| code.add(start, end));
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_found_in_each_part_and_nowhere_else() {
        let code: EvalCode =
            [(0x100, 0x200), (0x800, 0x900)].map(|(start, end)| (Addr(start), Addr(end))).into_iter().collect();
        assert!([0x100, 0x1ff, 0x800].into_iter().all(|addr| code.holds(Addr(addr))));
        assert!([0xff, 0x200, 0x900].into_iter().all(|addr| !code.holds(Addr(addr))));
    }

    #[test]
    fn parts_are_kept_once_and_not_without_end() {
        let mut code = EvalCode::default();
        code.add(Addr(8), Addr(8));
        assert_eq!(code, EvalCode::default());
        for start in (0..2).flat_map(|_| 0..100) {
            code.add(Addr(start * 16), Addr(start * 16 + 16));
        }
        assert_eq!(code.parts().len(), MAX_PARTS);
    }
}
