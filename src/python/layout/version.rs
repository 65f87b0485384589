//! A CPython version as the interpreter states it.
//!
//! Does: decode `PY_VERSION_HEX`. Does not: decide what a version supports; that is the parent module.

use std::fmt;

/// A CPython version in the encoding of `PY_VERSION_HEX` (documented in "API and ABI Versioning").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// The final release `major.minor.0`.
    pub const fn new(major: u8, minor: u8) -> Version {
        Version(((major as u32) << 24) | ((minor as u32) << 16) | 0xf0)
    }

    /// The 3 of 3.14.2.
    pub const fn major(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// The 14 of 3.14.2.
    pub const fn minor(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// The 2 of 3.14.2.
    pub const fn micro(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Whether this can be the version of a CPython that is known at all: a word read from elsewhere hardly ever is.
    pub const fn is_python_3(self) -> bool {
        self.major() == 3
    }

    /// Major and minor: what decides about a layout.
    pub const fn series(self) -> (u8, u8) {
        (self.major(), self.minor())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major(), self.minor(), self.micro())?;
        match ((self.0 >> 4) & 0xf, self.0 & 0xf) {
            (0xa, serial) => write!(f, "a{serial}"),
            (0xb, serial) => write!(f, "b{serial}"),
            (0xc, serial) => write!(f, "rc{serial}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_people_write_it() {
        assert_eq!(Version(0x030f_02f0).to_string(), "3.15.2");
        assert_eq!(Version(0x0310_00a3).to_string(), "3.16.0a3");
        assert_eq!(Version::new(3, 11).to_string(), "3.11.0");
    }
}
