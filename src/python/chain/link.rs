//! One link of a chain: a `_PyInterpreterFrame`, of the versions from 3.11 on.
//!
//! Does: read it once, refuse what cannot be one, and tell the Python frame that it is.
//! Does not: know which links run code; that is the chain's kind.

use crate::python::layout::{Layout, MAX_FRAME_BYTES};
use crate::python::stack::{ChainEnd, PythonFrame};
use crate::target::memory::{Memory, slice_of};
use crate::types::Addr;

/// The most bytes of bytecode that a code object is believed to have.
const MAX_BYTECODE: u64 = 64 << 20;

/// What a step of a walk returns, or why there is none.
pub type Step<T> = Result<T, ChainEnd>;

/// The copy that the last link was in: the next one is likely to be in it, too.
#[derive(Debug)]
pub struct Neighbours<'m> {
    start: Addr,
    bytes: &'m [u8],
    /// For links that are in no copy, or in two.
    room: [u8; MAX_FRAME_BYTES],
}

impl Default for Neighbours<'_> {
    fn default() -> Self {
        Neighbours { start: Addr::NULL, bytes: &[], room: [0; MAX_FRAME_BYTES] }
    }
}

impl<'m> Neighbours<'m> {
    #[inline]
    fn bytes(&mut self, mem: &'m impl Memory, address: Addr, len: usize) -> Option<&[u8]> {
        if let Some(bytes) = slice_of(self.start, self.bytes, address, len) {
            return Some(bytes);
        }
        if let Some((start, bytes)) = mem.copy_around(address) {
            (self.start, self.bytes) = (start, bytes);
            if let Some(bytes) = slice_of(start, bytes, address, len) {
                return Some(bytes);
            }
        }
        let room = self.room.get_mut(..len)?;
        mem.read(address, room).ok()?;
        Some(room)
    }
}

/// A frame, or an entry frame.
#[derive(Debug)]
pub struct Link<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
    /// Where it is.
    pub address: Addr,
    /// The link that it returns to.
    pub previous: Addr,
    /// `enum _frameowner`.
    pub owner: u8,
}

impl<'a> Link<'a> {
    /// Reads the link at `address`.
    ///
    /// # Errors
    /// [`ChainEnd::Unreadable`], or [`ChainEnd::Torn`] when it cannot be one.
    #[inline]
    pub fn read<'m>(
        layout: &'a Layout,
        mem: &'m impl Memory,
        address: Addr,
        neighbours: &'a mut Neighbours<'m>,
    ) -> Step<Link<'a>> {
        let torn = ChainEnd::Torn(address);
        if !is_aligned(address) {
            return Err(torn);
        }
        let fields = &layout.frame;
        let bytes = neighbours.bytes(mem, address, fields.read_len).ok_or(ChainEnd::Unreadable(address))?;
        let previous = word(bytes, fields.previous).map(Addr::of_pointer).filter(|p| is_aligned(*p)).ok_or(torn)?;
        let owner = bytes.get(fields.owner).copied().filter(|owner| *owner <= fields.max_owner).ok_or(torn)?;
        Ok(Link { layout, bytes, address, previous, owner })
    }

    /// That it cannot be what it seems to be.
    pub fn torn(&self) -> ChainEnd {
        ChainEnd::Torn(self.address)
    }

    /// The byte at a place of it.
    pub fn byte(&self, offset: usize) -> Option<u8> {
        self.bytes.get(offset).copied()
    }

    /// The Python frame that it is.
    ///
    /// # Errors
    /// [`ChainEnd::Torn`] when it cannot be one.
    #[inline]
    pub fn python_frame(&self) -> Step<PythonFrame> {
        self.decode().ok_or(self.torn())
    }

    #[inline]
    fn decode(&self) -> Option<PythonFrame> {
        let (fields, bytes) = (&self.layout.frame, self.bytes);
        let code = Addr::of_pointer(word(bytes, fields.executable)? & !fields.tag_bits);
        if code.is_null() || !is_aligned(code) {
            return None;
        }
        let own_bytecode = match fields.bytecode_copy {
            Some(index) => bytes.get(index..index.checked_add(4)?)? == [0; 4],
            None => true,
        };
        let first = code.0.checked_add(self.layout.code.bytecode as u64)?;
        let instruction = Addr::of_pointer(word(bytes, fields.instruction)?).0;
        // `prev_instr` of a frame that has not begun is the code unit in front of the first one.
        let offset = if instruction.checked_add(2) == Some(first) { Some(0) } else { instruction.checked_sub(first) };
        let offset = offset.filter(|o| own_bytecode && o.is_multiple_of(2) && *o < MAX_BYTECODE);
        let instruction_offset = offset.and_then(|o| u32::try_from(o).ok());
        Some(PythonFrame { frame: self.address, code, instruction_offset })
    }
}

/// The pointer at `addr`.
pub(super) fn pointer(mem: &impl Memory, addr: Addr) -> Step<Addr> {
    mem.read_addr(addr).map_err(|_| ChainEnd::Unreadable(addr))
}

fn is_aligned(addr: Addr) -> bool {
    addr.0.is_multiple_of(8)
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    let word = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}
