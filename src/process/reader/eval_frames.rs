//! What is known of an interpreter's eval frames before its process is sampled, and what samples of it have taught the next.
//!
//! Does: turn the addresses of a file into those of a process, and back.
//! Does not: learn; the journey does.

use std::sync::Arc;

use crate::merge::eval_code::EvalCode;
use crate::merge::resync::{EvalFrameLayout, EvalFrameModel};
use crate::process::binaries::EvalFrames;
use crate::process::code_space::CodeSpace;
use crate::target::elf::ElfFile;
use crate::target::modules::ModuleId;
use crate::types::Svma;

/// The eval loop's function: every CPython since 3.6 exports it (PEP 523), for it can be replaced. What a compiler has split off from
/// it has no such name: Debian's interpreters have nearly all of it there.
const FUNCTION: &str = "_PyEval_EvalFrameDefault";

/// What is known of the eval frames of an interpreter that no sample has met yet.
pub(super) fn known(space: &CodeSpace, module: ModuleId) -> EvalFrameModel {
    let Some(image) = space.modules.get(module) else { return EvalFrameModel::default() };
    let Ok(file) = &image.elf else { return EvalFrameModel::default() };
    let learned = space.binaries.eval_frames(file);
    let named = space.binaries.eval_code(file, || match file.symbol(FUNCTION) {
        Some((start, size)) => match space.function_parts(module, start) {
            parts if parts.is_empty() => vec![(start, Svma(start.0.saturating_add(size)))],
            parts => parts,
        },
        None => Vec::new(),
    });
    let parts = learned.iter().flat_map(|frames| frames.code.iter()).chain(named.iter()).copied();
    let code: EvalCode = parts.map(|(start, end)| (image.addr(start), image.addr(end))).collect();
    learned.map(|frames| EvalFrameModel::known(frames.layout)).unwrap_or_default().with_code(code)
}

/// Tells other readers of the same file what has become certain.
pub(super) fn share(
    space: &CodeSpace,
    module: ModuleId,
    file: &Arc<ElfFile>,
    (layout, code): (EvalFrameLayout, &EvalCode),
) {
    let Some(image) = space.modules.get(module) else { return };
    let code = code.parts().iter().map(|(start, end)| (image.svma(*start), image.svma(*end))).collect();
    space.binaries.learn_eval_frames(file, EvalFrames { layout, code });
}
