//! An entry of the procedure linkage table, as its instructions show it.
//!
//! Does: hold what is known of one; the folders of the architectures read it. Does not: know which function it leads to.

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Behind its last byte, padding included.
    pub end: u64,
    /// How it tells its function.
    pub function: EntryFunction,
}

/// How an entry tells the function that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryFunction {
    /// It jumps to what the slot at this address holds.
    InSlot(u64),
    /// It hands a number to the table's first entry, which has the function looked up.
    Numbered {
        /// The number of a relocation.
        number: u32,
        /// Where that first entry is.
        first: u64,
    },
}
