//! The names that a program has given its threads.
//!
//! Does: find the module `threading` of an interpreter, and read each `Thread` of its `_active` with its name and with what tells whose name it is.
//! Does not: know the threads of the process, or keep names.
//!
//! `_active` has a thread's `Thread` by its `pthread_t` from before its target is called until after it has returned. A name is that of
//! the thread whose numbers the `Thread` itself has: `_ident`, and `_native_id`, which it sets before it is put there. Only where a fork
//! was made, CPython before 3.13 leaves the parent's `_native_id`; that `Thread` is the child's `_main_thread`.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::python::attributes::{Entries, LookupError};
use crate::python::integers::{Sign, magnitude, sign_and_digits};
use crate::python::layout::Layout;
use crate::python::strings;
use crate::python::type_flags::{LONG_SUBCLASS, type_flags};
use crate::target::memory::Memory;
use crate::types::Addr;

/// The most threads of an interpreter whose names are read.
const MAX_NAMED: usize = 4_096;

/// Digits of numbers that fit into 64 bits.
const MAX_DIGITS: u64 = 3;

/// A thread, as `threading` knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedThread {
    /// Its `pthread_t`.
    pub ident: u64,
    /// Its number in the target's own pid namespace, as it was when the `Thread` was made; after a fork that can be the parent's.
    pub native_id: Option<u64>,
    /// Whether it is `threading._main_thread`.
    pub is_main: bool,
    /// Its name.
    pub name: String,
    /// The `Thread` and the string: who reads a name twice knows by them that it is the same one.
    pub objects: (Addr, Addr),
}

/// The dict of `threading` in the interpreter at `interpreter`; absent until a program imports that.
///
/// # Errors
/// That it cannot be read, or not yet: `mem` may lack what is to be copied first.
pub fn globals(mem: &impl Memory, layout: &Layout, interpreter: Addr) -> Result<Addr, LookupError> {
    let modules = mem.read_addr(interpreter.wrapping_add(layout.attributes.modules))?;
    let [module] = values(mem, layout, modules, ["threading"])?;
    let module = module.ok_or(LookupError::Absent)?;
    Ok(mem.read_addr(module.wrapping_add(layout.attributes.module_dict))?)
}

fn values<const N: usize>(
    mem: &impl Memory,
    layout: &Layout,
    dict: Addr,
    names: [&str; N],
) -> Result<[Option<Addr>; N], LookupError> {
    let entries = Entries::of_dict(mem, layout, dict)?;
    entries.prefetch(mem);
    Ok(entries.values(mem, layout, names))
}

/// The places of a thread's attributes, by where the keys are: objects of one class share them.
type Places = FxHashMap<Addr, [Option<u64>; 3]>;

/// What `threading` knows of its threads.
#[derive(Debug, Clone, Copy)]
pub struct KnownThreads {
    /// The dict `_active`.
    active: Addr,
    /// `_main_thread`.
    main: Option<Addr>,
}

impl KnownThreads {
    /// Finds them by the dict of `threading` at `globals`.
    ///
    /// # Errors
    /// That there is no `_active` to be read.
    pub fn find(mem: &impl Memory, layout: &Layout, globals: Addr) -> Result<KnownThreads, LookupError> {
        let [active, main] = values(mem, layout, globals, ["_active", "_main_thread"])?;
        Ok(KnownThreads { active: active.ok_or(LookupError::Absent)?, main })
    }

    /// Those that have a name, of `part` of them all; and how many there are. What cannot be read, or makes no sense, is passed over.
    pub fn read(&self, mem: &impl Memory, layout: &Layout, part: Range<usize>) -> (Vec<NamedThread>, usize) {
        let Ok(entries) = Entries::of_dict(mem, layout, self.active) else { return (Vec::new(), 0) };
        entries.prefetch(mem);
        let all: Vec<Addr> = entries.iter(mem).take(MAX_NAMED).map(|(_, thread)| thread).collect();
        let mut places = Places::default();
        let threads = all.iter().skip(part.start).take(part.len());
        let named = threads.filter_map(|thread| self.read_thread(mem, layout, *thread, &mut places).ok());
        (named.collect(), all.len())
    }

    fn read_thread(
        &self,
        mem: &impl Memory,
        layout: &Layout,
        thread: Addr,
        places: &mut Places,
    ) -> Result<NamedThread, LookupError> {
        let attributes = Entries::of_instance(mem, layout, thread)?;
        attributes.prefetch(mem);
        let places = places
            .entry(attributes.keys())
            .or_insert_with(|| attributes.places(mem, layout, ["_name", "_ident", "_native_id"]));
        let [name, ident, native_id] = places.map(|place| attributes.value(mem, place?));
        // All of them are asked for before one that lacks ends this.
        let ident = ident.map(|object| integer(mem, layout, object));
        let native_id = native_id.map(|object| integer(mem, layout, object));
        let object = name.ok_or(LookupError::Absent)?;
        let name = strings::read(mem, layout, object).map_err(|_| LookupError::Absent)?;
        let ident = ident.ok_or(LookupError::Absent)??;
        let (native_id, is_main) = (native_id.and_then(Result::ok), self.main == Some(thread));
        Ok(NamedThread { ident, native_id, is_main, name, objects: (thread, object) })
    }
}

/// The value of an `int` above 0 that fits.
fn integer(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<u64, LookupError> {
    if type_flags(mem, &layout.object, object)? & LONG_SUBCLASS == 0 {
        return Err(LookupError::Absent);
    }
    match sign_and_digits(mem, layout, object)? {
        (Sign::Positive, digits) if digits <= MAX_DIGITS => {
            u64::try_from(magnitude(mem, layout, object, digits)?).map_err(|_| LookupError::Absent)
        }
        _ => Err(LookupError::Absent),
    }
}
