//! What tells that a module on a stack is still the one that was mapped there: another can take its place between two
//! looks at the mappings.
//!
//! Does: know bytes of each module that no other module has, and compare them with those in the target.
//! Does not: read the target or its mappings; or tell apart two files that have no build-id and headers that are equal.

use rustc_hash::FxHashMap;

use crate::capture::range::Range;
use crate::target::memory::{Memory, Region};
use crate::target::modules::{ModuleId, Modules};

/// The most modules of a thread that are watched: each costs the stop some 0.2 µs.
const MAX_WATCHED: usize = 16;
/// The most modules of a thread that are remembered.
const MAX_MET: usize = 64;
/// A module that is mapped where it seems not to be, this often in a row, has been changed by the program itself. Of two that take
/// turns, one can be there when it is looked at and the other when the mappings are read: on a busy machine some times in a row.
const MAX_DOUBTS: u8 = 32;

/// The two outermost frames of a stack have not returned since the thread began: `_start` and `__libc_start_main`, or
/// `clone` and `start_thread`. What they lie in has not been unloaded.
const ENTRY_FRAMES: usize = 2;

/// The modules that a thread's last stacks led through, the last one's first.
#[derive(Debug, Default)]
pub struct MetModules {
    /// The address space in which they were mapped.
    generation: u64,
    ids: Vec<ModuleId>,
    watched: Vec<ModuleId>,
}

impl MetModules {
    /// Takes note of the modules of a stack's native frames, innermost first.
    pub fn set(&mut self, generation: u64, frames: &[ModuleId], complete: bool) {
        let entry = frames.len().saturating_sub(if complete { ENTRY_FRAMES } else { 0 });
        let (frames, entry) = frames.split_at(entry);
        let before = std::mem::take(self);
        self.generation = generation;
        let frames = frames.iter().copied();
        put_each_once(
            &mut self.ids,
            frames.clone().chain(entry.iter().copied()).chain(before.of(generation).iter().copied()),
        );
        self.ids.truncate(MAX_MET);
        let watched = frames.chain(before.watched(generation).iter().copied());
        put_each_once(&mut self.watched, watched.filter(|id| !entry.contains(id)));
        self.watched.truncate(MAX_WATCHED);
    }

    /// Those that are still mapped in the address space of that generation.
    pub fn of(&self, generation: u64) -> &[ModuleId] {
        if self.generation == generation { &self.ids } else { &[] }
    }

    /// Those of them that can have been unloaded since.
    pub fn watched(&self, generation: u64) -> &[ModuleId] {
        if self.generation == generation { &self.watched } else { &[] }
    }
}

fn put_each_once(list: &mut Vec<ModuleId>, ids: impl Iterator<Item = ModuleId>) {
    for id in ids {
        if !list.contains(&id) {
            list.push(id);
        }
    }
}

/// The bytes that identify modules.
#[derive(Debug, Default)]
pub struct ModuleMarks {
    /// `None`: there are none.
    known: FxHashMap<ModuleId, Option<Mark>>,
}

#[derive(Debug)]
struct Mark {
    bytes: Region,
    doubts: u8,
}

impl ModuleMarks {
    /// Takes the marks of modules from their files, unless they are known.
    pub fn learn(&mut self, ids: &[ModuleId], modules: &Modules) {
        for id in ids {
            self.known.entry(*id).or_insert_with(|| {
                let module = modules.get(*id)?;
                let (svma, bytes) = module.elf.as_ref().ok()?.identifying_bytes()?;
                Some(Mark { bytes: Region { start: module.addr(svma), bytes }, doubts: 0 })
            });
        }
    }

    /// Never looks at a module: one that cannot be unloaded.
    pub fn ignore(&mut self, id: ModuleId) {
        self.known.insert(id, None);
    }

    /// Whether a module has bytes to tell it by.
    pub fn has(&self, id: ModuleId) -> bool {
        matches!(self.known.get(&id), Some(Some(_)))
    }

    /// Where the marks of these modules are.
    pub fn ranges(&self, ids: &[ModuleId]) -> impl Iterator<Item = Range> {
        let marks = ids.iter().filter_map(|id| self.known.get(id)?.as_ref());
        marks.map(|mark| Range::of(&mark.bytes))
    }

    /// Those of these modules that are not in `memory` where they were.
    pub fn replaced(&mut self, ids: &[ModuleId], memory: &impl Memory) -> Vec<ModuleId> {
        let mut replaced = Vec::new();
        for id in ids {
            let Some(Some(mark)) = self.known.get_mut(id) else { continue };
            let Region { start, bytes } = &mark.bytes;
            match memory.read_vec(*start, bytes.len()) {
                Ok(now) if now == *bytes => mark.doubts = 0,
                _ => replaced.push(*id),
            }
        }
        replaced
    }

    /// Takes note that these modules were not where they were, and that the mappings say that they are. That is a
    /// coincidence, or the program writes there: such modules are not watched any more.
    pub fn doubt(&mut self, ids: &[ModuleId]) {
        for id in ids {
            let Some(mark) = self.known.get_mut(id) else { continue };
            if let Some(known) = mark {
                known.doubts += 1;
                if known.doubts >= MAX_DOUBTS {
                    *mark = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Addr;

    const ID: ModuleId = ModuleId(7);

    fn marks() -> ModuleMarks {
        let bytes = Region { start: Addr(0x1000), bytes: vec![1; 36] };
        ModuleMarks { known: [(ID, Some(Mark { bytes, doubts: 0 }))].into_iter().collect() }
    }

    #[test]
    fn a_module_whose_bytes_have_changed_or_gone_is_replaced() {
        let memory = |byte| Region { start: Addr(0x1000), bytes: vec![byte; 64] };
        assert!(marks().replaced(&[ID, ModuleId(8)], &memory(1)).is_empty());
        assert_eq!(marks().replaced(&[ID], &memory(2)), [ID]);
        assert_eq!(marks().replaced(&[ID], &Region::default()), [ID]);
    }

    #[test]
    fn a_module_that_writes_over_its_own_bytes_is_watched_no_longer() {
        let mut marks = marks();
        for _ in 0..MAX_DOUBTS {
            assert_eq!(marks.replaced(&[ID], &Region::default()), [ID]);
            marks.doubt(&[ID]);
        }
        assert!(marks.replaced(&[ID], &Region::default()).is_empty());
        assert_eq!(marks.ranges(&[ID]).count(), 0);
    }

    #[test]
    fn modules_of_other_mappings_are_not_watched() {
        let mut met = MetModules::default();
        met.set(3, &[ID; 100], false);
        assert_eq!((met.of(3), met.of(4)), (&[ID][..], &[][..]));
        assert_eq!((met.watched(3), met.watched(4)), (&[ID][..], &[][..]));
    }

    #[test]
    fn the_modules_of_a_thread_s_entry_are_not_watched() {
        let [library, program, libc] = [1, 2, 3].map(ModuleId);
        let mut met = MetModules::default();
        met.set(1, &[libc, library, libc, program], true);
        assert_eq!((met.of(1), met.watched(1)), (&[libc, library, program][..], &[library][..]));
        met.set(1, &[libc, library], false);
        assert_eq!(met.watched(1), [libc, library], "where a stack breaks off is no entry");
    }

    #[test]
    fn modules_of_stacks_before_the_last_are_watched_too() {
        let [first, second, program, libc] = [1, 2, 3, 4].map(ModuleId);
        let mut met = MetModules::default();
        met.set(1, &[first, libc, program], true);
        met.set(1, &[second, libc, program], true);
        assert_eq!((met.of(1), met.watched(1)), (&[second, libc, program, first][..], &[second, first][..]));
        met.set(2, &[second, libc, program], true);
        assert_eq!(met.watched(2), [second], "not those of other mappings");
    }

    #[test]
    fn no_more_are_watched_than_a_stop_may_take() {
        let mut met = MetModules::default();
        met.set(1, &(0..100).map(ModuleId).collect::<Vec<_>>(), true);
        assert_eq!((met.of(1).len(), met.watched(1).len()), (MAX_MET, MAX_WATCHED));
    }
}
