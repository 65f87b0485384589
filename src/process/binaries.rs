//! What is known of binaries, whichever process they run in: 30 workers of one interpreter, and 44 programs one after the other,
//! cost one.
//!
//! Does: keep each file once, make its unwind index once, and remember what samples have taught of its eval frames.
//! Does not: know where a process has mapped a file, or name addresses (`symbolize` shares that by the same files).

use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::FxHashMap;

use super::stack_entries::stack_entries;
use crate::merge::resync::EvalFrameLayout;
use crate::target::elf::ElfFile;
use crate::target::elf_files::ElfFiles;
use crate::types::Svma;
use crate::unwind::code_bytes::CodeBytes;
use crate::unwind::module::ModuleUnwinder;

/// Forgotten files are looked for when so many are known.
const TIDY_AT: usize = 1024;

/// Facts about binaries, shared by all that are read together.
#[derive(Debug, Default)]
pub struct Binaries {
    /// The files, each kept once.
    pub files: ElfFiles,
    facts: Mutex<FxHashMap<FileKey, Facts>>,
}

/// An [`ElfFile`] by its place in memory: no other can be there as long as [`Facts`] refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileKey(usize);

#[derive(Debug)]
struct Facts {
    file: Weak<ElfFile>,
    unwinder: Option<Arc<ModuleUnwinder>>,
    eval_frames: Option<EvalFrames>,
    eval_code: Option<Arc<[(Svma, Svma)]>>,
    runtime: Option<Option<RuntimeSymbols>>,
}

/// Where a file has its interpreter's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeSymbols {
    /// `_PyRuntime`.
    pub runtime: Svma,
    /// `Py_Version`, where there is such a symbol.
    pub version: Option<Svma>,
}

/// What is certain of the eval frames of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalFrames {
    /// How they lie on the native stack.
    pub layout: EvalFrameLayout,
    /// The parts of the function that executes in them, as `(start, end)`.
    pub code: Vec<(Svma, Svma)>,
}

/// A file's instructions.
#[derive(Debug)]
struct FileCode(Weak<ElfFile>);

impl CodeBytes for FileCode {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        self.0.upgrade()?.code_bytes(svma, len).ok()
    }
}

impl Binaries {
    /// The unwind tables of a file of this name.
    pub fn unwinder(&self, file: &Arc<ElfFile>, name: &str) -> Arc<ModuleUnwinder> {
        let make = || {
            let code = Arc::new(FileCode(Arc::downgrade(file)));
            let unwinder = ModuleUnwinder::new(file.unwind_sections());
            Arc::new(unwinder.with_code(code).with_entries(stack_entries(file, name)))
        };
        self.once(file, |facts| &mut facts.unwinder, make)
    }

    /// The parts of the eval loop's function of an interpreter's file, which `find` finds: once for all processes, for its branches are decoded.
    pub fn eval_code(&self, file: &Arc<ElfFile>, find: impl FnOnce() -> Vec<(Svma, Svma)>) -> Arc<[(Svma, Svma)]> {
        self.once(file, |facts| &mut facts.eval_code, || find().into())
    }

    /// Where a file has its interpreter's state, which `find` finds: once for all processes, for its names are gone through.
    pub fn runtime(
        &self,
        file: &Arc<ElfFile>,
        find: impl FnOnce() -> Option<RuntimeSymbols>,
    ) -> Option<RuntimeSymbols> {
        self.once(file, |facts| &mut facts.runtime, find)
    }

    /// What is certain of the eval frames of an interpreter's file.
    pub fn eval_frames(&self, file: &Arc<ElfFile>) -> Option<EvalFrames> {
        self.with_facts(file, |facts| facts.eval_frames.clone())
    }

    /// Takes note of what is certain of the eval frames of an interpreter's file.
    pub fn learn_eval_frames(&self, file: &Arc<ElfFile>, frames: EvalFrames) {
        self.with_facts(file, |facts| facts.eval_frames = Some(frames));
    }

    /// A fact about a file; what is not known yet is made first, without the lock: that can take some time.
    fn once<T: Clone>(
        &self,
        file: &Arc<ElfFile>,
        place: impl Fn(&mut Facts) -> &mut Option<T>,
        make: impl FnOnce() -> T,
    ) -> T {
        if let Some(known) = self.with_facts(file, |facts| place(facts).clone()) {
            return known;
        }
        let made = make();
        self.with_facts(file, |facts| place(facts).get_or_insert(made).clone())
    }

    fn with_facts<T>(&self, file: &Arc<ElfFile>, with: impl FnOnce(&mut Facts) -> T) -> T {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if facts.len() >= TIDY_AT {
            facts.retain(|_, facts| facts.file.strong_count() > 0);
        }
        let key = FileKey(Arc::as_ptr(file) as usize);
        with(facts.entry(key).or_insert_with(|| Facts {
            file: Arc::downgrade(file),
            unwinder: None,
            eval_frames: None,
            eval_code: None,
            runtime: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn own(binaries: &Binaries) -> Arc<ElfFile> {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        binaries.files.shared(ElfFile::open(file).unwrap())
    }

    #[test]
    fn a_file_has_one_index_however_often_it_is_opened() {
        let binaries = Binaries::default();
        let (first, second) = (own(&binaries), own(&binaries));
        assert!(Arc::ptr_eq(&binaries.unwinder(&first, "a"), &binaries.unwinder(&second, "a")));
        let others = Binaries::default();
        assert!(!Arc::ptr_eq(&binaries.unwinder(&first, "a"), &others.unwinder(&own(&others), "a")));
    }

    #[test]
    fn a_file_s_names_are_gone_through_once_however_often_it_is_opened() {
        let binaries = Binaries::default();
        let symbols = Some(RuntimeSymbols { runtime: Svma(0x3000), version: None });
        let (first, second) = (own(&binaries), own(&binaries));
        assert_eq!(binaries.runtime(&first, || symbols), symbols);
        assert_eq!(binaries.runtime(&second, || unreachable!("it is known")), symbols);
    }

    #[test]
    fn what_one_process_has_taught_is_known_to_the_next() {
        let binaries = Binaries::default();
        let file = own(&binaries);
        assert_eq!(binaries.eval_frames(&file), None);
        let layout = EvalFrameLayout { distance: 0xa0, saved_frame_pointer: None };
        let frames = EvalFrames { layout, code: vec![(Svma(0x1000), Svma(0x2000))] };
        binaries.learn_eval_frames(&file, frames.clone());
        assert_eq!(binaries.eval_frames(&own(&binaries)), Some(frames));
    }
}
