//! What of a target would make stacks or names incomplete, what fpprof does about it, and what its user can do.
//!
//! Does: judge a report, in words. Does not: examine anything.

use super::examine::{Lack, ProcessReport, Report};
use super::module::{ModuleReport, Tables, Verdict};
use crate::process::stack_entries::is_greenlet;
use crate::profile::frame::FrameKind;
use crate::symbolize::SymbolSource;

/// One weak link, or one kind of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is, for programs.
    pub id: &'static str,
    /// The files that it is about; of what fpprof may not do, what that is for.
    pub modules: Vec<String>,
    /// What is so.
    pub what: &'static str,
    /// What fpprof does about it.
    pub repair: &'static str,
    /// What the user can do; none where nothing needs to be done.
    pub remedy: Option<&'static str>,
}

/// The compiler flags of PEP 831.
const FLAGS: &str = "To have frame pointers (PEP 831), build with CFLAGS=\"-fno-omit-frame-pointer \
    -mno-omit-leaf-frame-pointer\"; Python 3.15 does so by default, and passes the flags on to extensions.";

/// All findings, the weakest links first.
pub fn findings(report: &Report) -> Vec<Finding> {
    let named = |is_so: &dyn Fn(&ModuleReport) -> bool| -> Vec<String> {
        report.modules.iter().filter(|module| is_so(module)).map(|module| module.name.clone()).collect()
    };
    let has_symbols =
        |m: &ModuleReport| !matches!(m.sources.symbols, SymbolSource::ExportsOnly | SymbolSource::Nothing);
    let is_file = |m: &ModuleReport| m.error.is_none() && !m.name.starts_with('[');
    let lacks = |lack: Lack, what_for: &str| -> Vec<String> {
        let process = report.process.as_ref().filter(|process| process.lacks.contains(&lack));
        process.map(|_| what_for.to_owned()).into_iter().collect()
    };
    let all = [
        Finding {
            id: "blocked_threads_are_stopped",
            modules: lacks(Lack::BlockedCalls, "threads that are blocked"),
            what: "fpprof may not see where they are blocked: their own user may, and who has CAP_DAC_READ_SEARCH.",
            repair: "It stops them to read them, once for as long as they do not run. Few calls notice that (epoll_wait, recv with a \
                     time limit), and those are counted.",
            remedy: Some(
                "Add the capability DAC_READ_SEARCH to SYS_PTRACE, or run fpprof as the program's user: blocked threads are read \
                 without a stop then.",
            ),
        },
        Finding {
            id: "no_precedence",
            modules: lacks(Lack::Precedence, "samples on a full machine"),
            what: "fpprof's sampling thread may not go before other programs (CAP_SYS_NICE, or a limit of `ulimit -r`).",
            repair: "Where all CPUs are busy samples come late, and some are left out; the end of a recording tells how many.",
            remedy: Some("Add the capability SYS_NICE."),
        },
        Finding {
            id: "unreadable_file",
            modules: named(&|m| m.error.is_some()),
            what: "The file cannot be read.",
            repair: "Stacks end there, or go on at the next Python function outside it.",
            remedy: Some("Keep files in place while programs use them, and readable for fpprof."),
        },
        Finding {
            id: "no_unwind_tables",
            modules: named(&|m| m.error.is_none() && m.tables == Tables::Missing && m.code > 0),
            what: "There are no unwind tables.",
            repair: "fpprof reads the instructions for the way out, and where they do not tell it says that frames are \
                     missing.",
            remedy: Some(
                "Build with -fasynchronous-unwind-tables (the default of gcc and clang), and do not strip .eh_frame.",
            ),
        },
        Finding {
            id: "partial_unwind_tables",
            modules: named(&|m| m.tables != Tables::Missing && m.lacks_tables()),
            what: "Some code has no unwind tables: hand-written assembly, mostly, or code that was built without.",
            repair: "fpprof reads its instructions for the way out, and where they do not tell it says that frames are \
                     missing.",
            remedy: Some("Where a compiler has made it: build with -fasynchronous-unwind-tables, its default."),
        },
        Finding {
            id: "greenlets",
            modules: named(&|m| is_greenlet(&m.name)),
            what: "Greenlets: each runs on a piece of the C stack of its own.",
            repair: "The greenlet that runs is shown, from the function that it began with. Those that wait are elsewhere in memory, and are not \
                     shown. A stack can be incomplete in the middle of a switch.",
            remedy: None,
        },
        Finding {
            id: "code_made_at_run_time",
            modules: code_without_tables(report),
            what: "Code made at run time has no unwind tables, and is not known to keep frame pointers.",
            repair: "fpprof goes on at the next Python function outside it, and says where frames are missing.",
            remedy: Some("The code of Python 3.15's own JIT keeps frame pointers."),
        },
        Finding {
            id: "omits_frame_pointers",
            modules: named(&|m| m.kind != FrameKind::System && omits(m)),
            what: "The code keeps no frame pointers, or not everywhere: profilers that follow those alone lose frames here.",
            repair: "fpprof goes by the unwind table of each address, and needs no frame pointers where there is one.",
            remedy: Some(FLAGS),
        },
        Finding {
            id: "system_omits_frame_pointers",
            modules: named(&|m| m.kind == FrameKind::System && omits(m)),
            what: "Libraries of the system, built by the distribution, keep no frame pointers, or not everywhere.",
            repair: "fpprof goes by their unwind tables.",
            remedy: None,
        },
        Finding {
            id: "no_search_table",
            modules: named(&|m| m.tables == Tables::Unsorted),
            what: "The unwind tables have no index (.eh_frame_hdr).",
            repair: "fpprof goes through them once, at the start.",
            remedy: None,
        },
        Finding {
            id: "stripped",
            modules: named(&|m| is_file(m) && !has_symbols(m)),
            what: "Only exported functions have names.",
            repair: "The others are shown as module+0x1234, one for each function, never by a neighbour's name.",
            remedy: Some(
                "Install the distribution's debug packages (Debian: python3.x-dbg, libc6-dbg; Fedora: dnf debuginfo-install), \
                 or do not strip.",
            ),
        },
        Finding {
            id: "no_lines",
            modules: named(&|m| is_file(m) && m.sources.lines.is_err() && is_of_interest(m)),
            what: "There is no debug information: no lines, and no inlined functions.",
            repair: "Functions have their names all the same.",
            remedy: Some("Install the debug packages, or build with -g; that does not make a program slower."),
        },
    ];
    all.into_iter().filter(|finding| !finding.modules.is_empty()).collect()
}

fn omits(module: &ModuleReport) -> bool {
    matches!(module.keeps_frame_pointers(), Verdict::No | Verdict::Partly)
}

/// Code without a file, by the name that it has in stacks.
fn code_without_tables(report: &Report) -> Vec<String> {
    let process = report.process.as_ref();
    let is_weak = |p: &&ProcessReport| p.unnamed_code > 0 && !p.interpreter.jit_keeps_frame_pointers;
    process.filter(is_weak).map(|_| "[code made at run time]".to_owned()).into_iter().collect()
}

/// Whether people look for lines in it.
fn is_of_interest(module: &ModuleReport) -> bool {
    matches!(module.kind, FrameKind::Interpreter | FrameKind::NativeExtension)
}
