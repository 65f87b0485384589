//! What a moment of a thread's time went to, in the words of those who write Python.
//!
//! Does: decide it, from what the thread did and the kinds of its frames. Does not: find frames, or count.

use std::borrow::Cow;

use super::frame::FrameKind;
use crate::sampler::run_state::RunState;

/// What time went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeKind {
    /// Python code of the project itself.
    YourCode,
    /// Python code that was installed.
    InstalledPackages,
    /// Python code that comes with CPython.
    StandardLibrary,
    /// CPython's own native code.
    Interpreter,
    /// Native code of extensions, and of the libraries that they bring along.
    NativeExtensions,
    /// The system's libraries, called by nothing else.
    System,
    /// Machine code made at run time, called by an extension.
    Jit,
    /// Collecting garbage.
    GarbageCollection,
    /// A thread of a pool that looks for work again and again.
    SpinningPool,
    /// On a CPU at no moment at which it was looked at.
    NotSampled,
    /// On a CPU, and its stack is not known.
    NotKnown,
    /// Waiting for the GIL.
    WaitingForGil,
    /// Ready to run, without a CPU.
    WaitingForCpu,
    /// Waiting for anything else.
    Waiting,
}

impl TimeKind {
    /// All of them.
    pub const ALL: [TimeKind; 14] = [
        TimeKind::YourCode,
        TimeKind::InstalledPackages,
        TimeKind::StandardLibrary,
        TimeKind::Interpreter,
        TimeKind::NativeExtensions,
        TimeKind::System,
        TimeKind::Jit,
        TimeKind::GarbageCollection,
        TimeKind::SpinningPool,
        TimeKind::NotSampled,
        TimeKind::NotKnown,
        TimeKind::WaitingForGil,
        TimeKind::WaitingForCpu,
        TimeKind::Waiting,
    ];

    /// What it is called in files: it never changes.
    pub fn id(self) -> &'static str {
        match self {
            TimeKind::YourCode => "user",
            TimeKind::InstalledPackages => "installed_package",
            TimeKind::StandardLibrary => "standard_library",
            TimeKind::Interpreter => "interpreter",
            TimeKind::NativeExtensions => "native_extension",
            TimeKind::System => "system",
            TimeKind::Jit => "jit",
            TimeKind::GarbageCollection => "garbage_collection",
            TimeKind::SpinningPool => "spinning_pool",
            TimeKind::NotSampled => "not_sampled",
            TimeKind::NotKnown => "not_known",
            TimeKind::WaitingForGil => "waiting_for_gil",
            TimeKind::WaitingForCpu => "waiting_for_cpu",
            TimeKind::Waiting => "other_wait",
        }
    }

    /// What a reader calls it.
    pub fn description(self) -> Cow<'static, str> {
        let words = match self {
            TimeKind::NotSampled => return RunState::NotSampled.to_string().into(),
            TimeKind::WaitingForGil => return RunState::Gil.to_string().into(),
            TimeKind::WaitingForCpu => return RunState::WaitingForCpu.to_string().into(),
            TimeKind::YourCode => "your code",
            TimeKind::InstalledPackages => "Python code of installed packages",
            TimeKind::StandardLibrary => "Python code of the standard library",
            TimeKind::Interpreter => "the interpreter itself",
            TimeKind::NativeExtensions => "native extensions",
            TimeKind::System => "libc and system",
            TimeKind::Jit => "JIT code",
            TimeKind::GarbageCollection => "garbage collection",
            TimeKind::SpinningPool => "idle threads of a BLAS or OpenMP pool, spinning",
            TimeKind::NotKnown => "on a CPU, stack not known",
            TimeKind::Waiting => "I/O and other waits",
        };
        words.into()
    }

    /// What time in a state goes to; `None` where the stack tells it.
    pub fn of_state(state: &RunState) -> Option<TimeKind> {
        match state {
            RunState::Python | RunState::Native => None,
            RunState::GarbageCollection => Some(TimeKind::GarbageCollection),
            RunState::NotSampled => Some(TimeKind::NotSampled),
            RunState::Gil => Some(TimeKind::WaitingForGil),
            RunState::WaitingForCpu => Some(TimeKind::WaitingForCpu),
            RunState::Other { is_on_cpu: true, .. } => Some(TimeKind::NotKnown),
            _ => Some(TimeKind::Waiting),
        }
    }

    /// What time of a thread that runs goes to, by its stack, innermost first.
    pub fn of_stack(stack: &[CodeKind]) -> TimeKind {
        if is_idle_pool_thread(stack) {
            return TimeKind::SpinningPool;
        }
        let (mut in_system, mut in_jit) = (false, false);
        for code in stack {
            return match code {
                CodeKind::Evaluation => continue,
                CodeKind::Code(FrameKind::System) => {
                    in_system = true;
                    continue;
                }
                CodeKind::Code(FrameKind::Jit) => {
                    in_jit = true;
                    continue;
                }
                CodeKind::OpenMp | CodeKind::Blas { .. } | CodeKind::Code(FrameKind::NativeExtension) => {
                    if in_jit {
                        TimeKind::Jit
                    } else {
                        TimeKind::NativeExtensions
                    }
                }
                CodeKind::Code(FrameKind::Interpreter) => TimeKind::Interpreter,
                // The bytecode loop has called the C library. Machine code that it has called is the interpreter's own.
                CodeKind::Code(kind) if kind.is_python() && in_system => TimeKind::Interpreter,
                CodeKind::Code(FrameKind::UserCode) => TimeKind::YourCode,
                CodeKind::Code(FrameKind::InstalledPackage) => TimeKind::InstalledPackages,
                CodeKind::Code(FrameKind::StandardLibrary) => TimeKind::StandardLibrary,
                CodeKind::Code(_) => break,
            };
        }
        match (in_jit, in_system) {
            (true, _) => TimeKind::Jit,
            (false, true) => TimeKind::System,
            (false, false) => TimeKind::NotKnown,
        }
    }
}

/// What is to be known of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeKind {
    /// The eval frame of the Python frames inside it.
    Evaluation,
    /// A runtime of OpenMP.
    OpenMp,
    /// A library of linear algebra with a pool of its own.
    Blas {
        /// Whether it is the function in which the pool's threads wait, as far as its name is known.
        may_wait: bool,
    },
    /// Anything else.
    Code(FrameKind),
}

/// OpenBLAS's `driver/others/blas_server.c`: a thread's own loop.
const BLAS_LOOP: &str = "blas_thread_server";

impl CodeKind {
    /// Of a native frame: its kind, its module's file name, and its function's name where it has one.
    pub fn of_native(kind: FrameKind, module: &str, function: Option<&str>) -> CodeKind {
        let is = |library: &str| {
            let rest = module.strip_prefix(library);
            rest.is_some_and(|rest| rest.starts_with(['.', '-']))
        };
        if ["libgomp", "libiomp5", "libomp", "libomp5"].iter().any(|library| is(library)) {
            CodeKind::OpenMp
        } else if module.contains("openblas") {
            CodeKind::Blas { may_wait: function.is_none_or(|function| function == BLAS_LOOP) }
        } else {
            CodeKind::Code(kind)
        }
    }
}

/// Whether a thread that runs is one of a pool that has nothing to do. What a pool's thread is given to do is in the stack: a function
/// of the program, or of the library beside the loop that has called it.
fn is_idle_pool_thread(stack: &[CodeKind]) -> bool {
    let is_system = |code: &&CodeKind| **code == CodeKind::Code(FrameKind::System);
    let inner = stack.iter().skip_while(is_system).collect::<Vec<_>>();
    let outside = |from: usize| inner.get(from..).unwrap_or_default().iter().all(is_system);
    match inner.first() {
        Some(CodeKind::Blas { may_wait: true }) => outside(1),
        Some(CodeKind::OpenMp) => outside(inner.iter().take_while(|code| ***code == CodeKind::OpenMp).count()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CodeKind::{Code, Evaluation, OpenMp};
    use FrameKind::{Gap, InstalledPackage, NativeExtension, UserCode};

    const LOOP: CodeKind = CodeKind::Blas { may_wait: true };
    const WORK: CodeKind = CodeKind::Blas { may_wait: false };
    const MINE: CodeKind = Code(UserCode);
    const C: CodeKind = Code(FrameKind::System);
    const EXTENSION: CodeKind = Code(NativeExtension);
    const CORE: CodeKind = Code(FrameKind::Interpreter);
    const MADE: CodeKind = Code(FrameKind::Jit);

    #[test]
    fn the_innermost_code_that_is_of_somebody_has_the_time() {
        let cases: &[(&[CodeKind], TimeKind)] = &[
            (&[MINE, Evaluation, C], TimeKind::YourCode),
            (&[Code(FrameKind::StandardLibrary), MINE, Evaluation], TimeKind::StandardLibrary),
            (&[Code(InstalledPackage), MINE, Evaluation], TimeKind::InstalledPackages),
            // A built-in function, and the C library called by it, or by the bytecode loop.
            (&[CORE, MINE, Evaluation], TimeKind::Interpreter),
            (&[C, CORE, MINE, Evaluation], TimeKind::Interpreter),
            (&[C, MINE, Evaluation], TimeKind::Interpreter),
            (&[EXTENSION, MINE, Evaluation], TimeKind::NativeExtensions),
            (&[C, C, EXTENSION, MINE, Evaluation], TimeKind::NativeExtensions),
            // numba's machine code, the interpreter's own, and the trampolines of `-X perf`.
            (&[MADE, EXTENSION, MINE, Evaluation], TimeKind::Jit),
            (&[MADE, MINE, Evaluation], TimeKind::YourCode),
            (&[MINE, Evaluation, MADE, Evaluation], TimeKind::YourCode),
            // Threads without Python.
            (&[EXTENSION, C], TimeKind::NativeExtensions),
            (&[C, C], TimeKind::System),
            (&[MADE], TimeKind::Jit),
            (&[Evaluation, CORE], TimeKind::Interpreter),
            // Nothing that tells.
            (&[], TimeKind::NotKnown),
            (&[Code(Gap), MINE], TimeKind::NotKnown),
            (&[C, Code(Gap)], TimeKind::System),
        ];
        for (stack, kind) in cases {
            assert_eq!(TimeKind::of_stack(stack), *kind, "{stack:?}");
        }
    }

    #[test]
    fn a_pool_spins_where_its_thread_is_in_nothing_but_its_loop() {
        let cases: &[(&[CodeKind], TimeKind)] = &[
            (&[LOOP, C, C], TimeKind::SpinningPool),
            (&[C, LOOP, C, C], TimeKind::SpinningPool),
            (&[OpenMp, OpenMp, C, C], TimeKind::SpinningPool),
            (&[C, OpenMp, C], TimeKind::SpinningPool),
            // A kernel, another function, work that the program has given, and a thread that waits for its pool.
            (&[WORK, LOOP, C], TimeKind::NativeExtensions),
            (&[LOOP, LOOP, C], TimeKind::NativeExtensions),
            (&[WORK, C], TimeKind::NativeExtensions),
            (&[EXTENSION, OpenMp, C], TimeKind::NativeExtensions),
            (&[OpenMp, EXTENSION, OpenMp, C], TimeKind::NativeExtensions),
            (&[OpenMp, EXTENSION, MINE, Evaluation], TimeKind::NativeExtensions),
            // Where frames are missing, work may be.
            (&[OpenMp, Code(Gap), C], TimeKind::NativeExtensions),
        ];
        for (stack, kind) in cases {
            assert_eq!(TimeKind::of_stack(stack), *kind, "{stack:?}");
        }
    }

    #[test]
    fn states_tell_waits_and_collections() {
        let io = RunState::Io { call: "read".into(), file: None };
        let cases = [
            (RunState::Python, None),
            (RunState::Native, None),
            (RunState::GarbageCollection, Some(TimeKind::GarbageCollection)),
            (RunState::NotSampled, Some(TimeKind::NotSampled)),
            (RunState::Gil, Some(TimeKind::WaitingForGil)),
            (RunState::WaitingForCpu, Some(TimeKind::WaitingForCpu)),
            (RunState::Lock, Some(TimeKind::Waiting)),
            (io, Some(TimeKind::Waiting)),
            (RunState::Unknown, Some(TimeKind::Waiting)),
        ];
        for (state, kind) in cases {
            assert_eq!(TimeKind::of_state(&state), kind, "{state}");
        }
    }

    #[test]
    fn libraries_with_pools_are_told_by_their_files() {
        let of = |module, function| CodeKind::of_native(NativeExtension, module, function);
        for file in ["libgomp.so.1", "libgomp-a34b3233.so.1.0.0", "libiomp5.so", "libomp-7e3a.so"] {
            assert_eq!(of(file, None), OpenMp, "{file}");
        }
        for file in ["libopenblas.so.0", "libscipy_openblas64_-56d6093b.so", "libopenblasp-r0-ee7f2c83.3.23.so"] {
            assert_eq!(
                (of(file, None), of(file, Some(BLAS_LOOP)), of(file, Some("dgemm_"))),
                (LOOP, LOOP, WORK),
                "{file}"
            );
        }
        for file in ["libgomprest.so", "_umath.so", "libompi.so", ""] {
            assert_eq!(of(file, None), EXTENSION, "{file}");
        }
    }

    #[test]
    fn ids_and_words_are_distinct() {
        let texts = TimeKind::ALL.into_iter().flat_map(|kind| [kind.id().to_owned(), kind.description().into_owned()]);
        assert_eq!(texts.collect::<std::collections::BTreeSet<_>>().len(), 2 * TimeKind::ALL.len());
    }
}
