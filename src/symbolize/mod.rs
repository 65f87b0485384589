//! Names: which function, file and line an address of native code is.
//!
//! Does: look addresses up in the module's own symbols and DWARF, in its separate debug files, and in perf maps; once
//! per distinct address, aside from sampling.
//! Does not: read the target's memory, or borrow the name of the nearest exported function for a stripped one. Split
//! DWARF (`.dwo`, `.dwp`) is not read: its functions have the symbol table's names and no lines.

mod answers;
mod debug_files;
mod demangle;
mod dwarf;
mod linkage_stubs;
mod metered;
mod method_tables;
mod mini_debug_info;
pub mod names;
mod native_symbol;
mod perf_map;
mod plumbing;
mod query;
mod questions;
mod references;
mod sections;
mod sources;
mod symbol_index;
mod symbolizer;
mod units;

pub use answers::Answers;
pub use debug_files::{DebugFileSource, NoDebugFile};
pub use demangle::display_name;
pub use mini_debug_info::{XzError, decompress_xz};
pub use native_symbol::{FunctionExtent, FunctionName, NativeSymbol, NoName};
pub use perf_map::{PerfMap, PerfMapEntry, python_trampoline};
pub use query::{ModuleFile, Query};
pub use questions::Questions;
pub use symbolizer::{ModuleNames, NameSources, NoLines, SymbolSource, Symbolizer};
