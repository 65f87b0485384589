//! What registers hold after some instructions, in terms of what they held before: the part of their effect that decides where
//! a function's return address is.
//!
//! Does: keep the registers that an architecture follows, and the words of the stack that they were saved in.
//! Does not: decode an instruction (the architectures do), choose a way through the code (`return_path` does), or know a single
//! value: the same for every thread.

/// Registers that can be followed.
const MAX_FOLLOWED: usize = 8;
/// Words that are known to have been written. A function saves seven registers, and some twice.
pub const MAX_WRITTEN: usize = 32;

/// What a register held at the beginning, and so many bytes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The register's DWARF number.
    pub register: u16,
    /// Bytes to add.
    pub offset: i64,
}

impl Sum {
    /// So many bytes more.
    pub fn plus(self, bytes: i64) -> Sum {
        // A number that wraps around is no address of a stack: whoever adds it up is told so there.
        Sum { offset: self.offset.saturating_add(bytes), ..self }
    }
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// This number.
    Sum(Sum),
    /// The word that was at this address at the beginning.
    WordAt(Sum),
    /// Something else.
    Unknown,
}

impl Value {
    /// So many bytes more.
    pub fn plus(self, bytes: i64) -> Value {
        match self {
            Value::Sum(sum) => Value::Sum(sum.plus(bytes)),
            Value::WordAt(_) | Value::Unknown => Value::Unknown,
        }
    }

    /// What is left when a value can be this or `other`. Returns whether it has changed.
    pub fn join(&mut self, other: Value) -> bool {
        let differs = *self != other && *self != Value::Unknown;
        if differs {
            *self = Value::Unknown;
        }
        differs
    }
}

/// The registers, and the words of the stack that were written.
#[derive(Debug, Clone)]
pub struct State {
    /// DWARF numbers of the registers that are followed, of which each has its value at the same place.
    followed: &'static [u16],
    /// Which of them is the stack pointer.
    stack_pointer: u16,
    values: [Value; MAX_FOLLOWED],
    written: Vec<(Sum, Value)>,
    /// More was written than is remembered: no word is known to be as it was.
    forgot: bool,
}

impl State {
    /// The beginning: each register holds what it holds. No more than eight are followed, of which one is the stack pointer.
    pub fn beginning(followed: &'static [u16], stack_pointer: u16) -> State {
        let values = [Value::Unknown; MAX_FOLLOWED];
        let mut state = State { followed, stack_pointer, values, written: Vec::new(), forgot: false };
        state.begin_anew();
        state
    }

    /// The beginning again: what has happened since is in the past, and each register holds what it holds.
    pub fn begin_anew(&mut self) {
        for (value, register) in self.values.iter_mut().zip(self.followed) {
            *value = Value::Sum(Sum { register: *register, offset: 0 });
        }
        self.written.clear();
        self.forgot = false;
    }

    /// What a register holds, by its DWARF number.
    pub fn get(&self, register: u16) -> Value {
        let index = self.followed.iter().position(|followed| *followed == register);
        index.and_then(|index| self.values.get(index)).copied().unwrap_or(Value::Unknown)
    }

    /// A register is written, if it is followed.
    pub fn set(&mut self, register: u16, value: Value) {
        for (_, slot) in self.followed.iter().zip(&mut self.values).filter(|(followed, _)| **followed == register) {
            *slot = value;
        }
    }

    /// Keeps what holds on this way and on another one. Returns whether that is less than before.
    pub fn join(&mut self, other: &State) -> bool {
        let mut changed = false;
        for (value, other) in self.values.iter_mut().zip(other.values) {
            changed |= value.join(other);
        }
        for (at, value) in &mut self.written {
            changed |= value.join(other.word(*at));
        }
        for (at, value) in &other.written {
            let mut here = self.word(*at);
            if here.join(*value) {
                self.write(*at, here);
                changed = true;
            }
        }
        if other.forgot && !self.forgot {
            self.forgot = true;
            changed = true;
        }
        changed
    }

    /// Whether the stack pointer is the same on another way, so that both can be one. It is the register whose number is told at
    /// the beginning.
    pub fn is_beside(&self, other: &State) -> bool {
        self.get(self.stack_pointer) == other.get(other.stack_pointer)
    }

    /// Where this value has been saved, from where the stack pointer was at the beginning.
    pub fn saved(&self, value: Value) -> Option<i64> {
        let is_it = |(at, saved): &&(Sum, Value)| at.register == self.stack_pointer && *saved == value;
        self.written.iter().find(is_it).map(|(at, _)| at.offset)
    }

    /// A register that holds where the stack pointer was at the beginning, and so many bytes more: itself before others.
    pub fn on_stack(&self) -> Option<Sum> {
        let offset = |register: u16| match self.get(register) {
            Value::Sum(Sum { register: base, offset }) if base == self.stack_pointer => Some(Sum { register, offset }),
            _ => None,
        };
        offset(self.stack_pointer).or_else(|| self.followed.iter().find_map(|register| offset(*register)))
    }

    /// The word at an address.
    pub fn load(&self, address: Value) -> Value {
        match address {
            Value::Sum(at) => self.word(at),
            Value::WordAt(_) | Value::Unknown => Value::Unknown,
        }
    }

    fn word(&self, at: Sum) -> Value {
        match self.written.iter().find(|(written, _)| *written == at) {
            Some((_, value)) => *value,
            None if self.forgot => Value::Unknown,
            None => Value::WordAt(at),
        }
    }

    /// A word is written. Where the address is not known, it is that of an array or of a local variable: registers are
    /// saved at addresses that the code tells, or it could not find them again.
    pub fn write_at(&mut self, address: Value, value: Value) {
        if let Value::Sum(at) = address {
            self.write(at, value);
        }
    }

    fn write(&mut self, at: Sum, value: Value) {
        if let Some((_, known)) = self.written.iter_mut().find(|(written, _)| *written == at) {
            *known = value;
        } else if self.forgot || self.written.len() >= MAX_WRITTEN {
            self.forgot = true;
        } else {
            self.written.push((at, value));
        }
    }
}
