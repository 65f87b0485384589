//! Instructions around an address of the target.
//!
//! Does: read them from the file that is mapped there, or from memory where no file is. Does not: decode any.

use super::address_space::{AddressSpace, Code};
use crate::types::{Addr, Svma};

/// Code, by its addresses in the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeWindow {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The address of the first one.
    pub base: u64,
}

impl CodeWindow {
    /// Up to `len` bytes of instructions to each side of `pc`: a trace is a loop.
    pub fn around(pc: Addr, len: u64, space: &AddressSpace) -> Option<CodeWindow> {
        CodeWindow::between(pc, (len, len), space)
    }

    /// Up to so many bytes in front of `pc` and behind it.
    pub fn between(pc: Addr, (before, behind): (u64, u64), space: &AddressSpace) -> Option<CodeWindow> {
        let range = space.find(pc)?;
        let (source, bias) = match &range.code {
            Code::Anonymous { .. } => (&**space.anonymous_code()?, 0),
            Code::Module { unwinder, bias, .. } => (unwinder.code()?, *bias),
        };
        let svma = |addr: u64| Svma(addr.wrapping_sub(bias));
        let before = before.min(pc.0.checked_sub(range.start.0)?);
        let behind = behind.min(range.end.0.checked_sub(pc.0)?);
        let mut bytes = longest(before, |len| source.code(svma(pc.0.checked_sub(len)?), len));
        let base = pc.0.checked_sub(bytes.len() as u64)?;
        bytes.extend(longest(behind, |len| source.code(svma(pc.0), len)));
        Some(CodeWindow { bytes, base })
    }
}

/// The most bytes that can be read, up to `len`. Pages are mapped whole; a file's code can begin and end inside of one.
fn longest(len: u64, read: impl Fn(u64) -> Option<Vec<u8>>) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    if let Some(all) = read(len) {
        return all;
    }
    let (mut bytes, mut can, mut cannot) = (Vec::new(), 0, len);
    while cannot.saturating_sub(can) > 1 {
        let middle = can.midpoint(cannot);
        match read(middle) {
            Some(more) => (bytes, can) = (more, middle),
            None => cannot = middle,
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_read_as_there_is() {
        let there = |n: u64| move |len: u64| (len <= n).then(|| vec![0; len as usize]);
        for n in [0, 1, 2, 63, 64, 100] {
            assert_eq!(longest(100, there(n)).len() as u64, n);
        }
        assert_eq!(longest(10, there(100)).len(), 10);
    }
}
