//! The numbers that kinds of code have in the page.
//!
//! Does: number them. Does not: name or colour them.

use crate::profile::frame::FrameKind;

/// The number of a kind in the page.
pub(super) fn kind_number(kind: FrameKind) -> usize {
    FrameKind::ALL.iter().position(|other| *other == kind).unwrap_or(0)
}
