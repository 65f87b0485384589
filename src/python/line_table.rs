//! Decodes the location table of a code object (`co_linetable`, CPython 3.11 and later).
//!
//! Does: give the line of an instruction. Does not: give columns or end lines, which it skips.
//!
//! The format is described in CPython's `InternalDocs/code_objects.md` (`Objects/locations.md` in 3.11): entries that
//! each cover 1 to 8 code units. An entry's first byte alone has its highest bit set:
//!
//! ```text
//!  7 | 6 5 4 3 | 2 1 0        code 0-9    short: same line, one more byte
//!  1 |   code  | units - 1    code 10-12  line + (code - 10), two more bytes
//!                             code 13     line + signed varint, no columns
//!                             code 14     line + signed varint, then three varints
//!                             code 15     no location
//! ```

/// The line of the instruction at `offset` bytes from the first one, in code that begins on `first_line`.
///
/// `None` where the table says that there is no line, where it ends before that instruction, and where it is damaged.
pub fn line_at(table: &[u8], first_line: u32, offset: u32) -> Option<u32> {
    let mut line = i64::from(first_line);
    let mut end = 0_u64;
    let mut rest = table;
    while let Some((&head, tail)) = rest.split_first() {
        if head & 0x80 == 0 {
            return None;
        }
        let code = (head >> 3) & 15;
        let delta = match code {
            11 | 12 => i64::from(code) - 10,
            13 | 14 => signed_varint(tail)?,
            _ => 0,
        };
        line = line.checked_add(delta)?;
        end += 2 * (u64::from(head & 7) + 1);
        if u64::from(offset) < end {
            return if code == 15 { None } else { u32::try_from(line).ok() };
        }
        let next = tail.iter().position(|byte| byte & 0x80 != 0).unwrap_or(tail.len());
        rest = tail.get(next..)?;
    }
    None
}

/// A varint of six bits a byte, lowest first, of which bit 6 says that another byte follows; then the sign in bit 0.
fn signed_varint(bytes: &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    // A 32-bit number and its sign take six bytes.
    for (index, byte) in bytes.iter().take(6).enumerate() {
        value |= u64::from(byte & 63) << (6 * index);
        if byte & 64 == 0 {
            let magnitude = i64::try_from(value >> 1).ok()?;
            return Some(if value & 1 == 0 { magnitude } else { -magnitude });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn head(code: u8, units: u8) -> u8 {
        0x80 | (code << 3) | (units - 1)
    }

    #[test]
    fn every_kind_of_entry_gives_its_line() {
        let table = [
            [head(10, 1), 0, 0].as_slice(),
            &[head(0, 8), 1],
            &[head(12, 2), 0, 5],
            &[head(15, 1)],
            &[head(13, 1), 0b0010_0101 & 63],   // -18
            &[head(14, 3), 64 | 8, 1, 0, 1, 1], // 72 >> 1
        ]
        .concat();
        let lines = |unit: u32| line_at(&table, 100, 2 * unit);
        assert_eq!(lines(0), Some(100));
        assert_eq!((lines(1), lines(8)), (Some(100), Some(100)));
        assert_eq!((lines(9), lines(10)), (Some(102), Some(102)));
        assert_eq!(lines(11), None, "an instruction without a location");
        assert_eq!(lines(12), Some(84));
        assert_eq!((lines(13), lines(15)), (Some(120), Some(120)));
        assert_eq!(lines(16), None, "behind the table");
    }

    #[test]
    fn a_damaged_table_has_no_lines() {
        assert_eq!(line_at(&[], 1, 0), None);
        assert_eq!(line_at(&[0x05], 1, 0), None, "not the start of an entry");
        assert_eq!(line_at(&[head(13, 1), 0x7f, 0x7f], 1, 0), None, "a number that does not end");
        assert_eq!(line_at(&[head(13, 1), 3], 0, 0), None, "a line below zero");
    }

    proptest! {
        #[test]
        fn no_table_panics(table in prop::collection::vec(any::<u8>(), 0..200), first: u32, offset: u32) {
            line_at(&table, first, offset);
        }
    }
}
