//! WHEN: the bytes and registers of one thread at one moment.

pub mod registers;
