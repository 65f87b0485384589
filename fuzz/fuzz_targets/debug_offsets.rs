//! A runtime made of arbitrary bytes: recognising it, listing its threads and walking their frames must not panic, hang
//! or allocate without bounds.
#![no_main]

use fpprof::python::code::CodeObject;
use fpprof::python::frames::{interleave, walk};
use fpprof::python::runtime::{Candidate, Interpreter};
use fpprof::python::stack::PythonEntry;
use fpprof::python::threads::Threads;
use fpprof::target::memory::Region;
use fpprof::types::Addr;
use libfuzzer_sys::fuzz_target;

/// Small, so that arbitrary words often are addresses inside the input.
const RUNTIME: Addr = Addr(0x1000);

fuzz_target!(|input: &[u8]| {
    // The version's words come first in the input, so that mutations reach what follows the cookie.
    let mut bytes = b"xdebugpy".to_vec();
    bytes.extend_from_slice(input);
    let end = RUNTIME.0 + bytes.len() as u64;
    let mem = Region { start: RUNTIME, bytes };
    let version_symbol = (input.len() >= 8).then(|| Addr(end - 8));
    for (runtime, file_name) in [(RUNTIME, "python3.14"), (Addr(0x1008), "python3.11"), (Addr(0x1008), "python3.12")] {
        let candidate = Candidate { runtime, version_symbol: version_symbol.filter(|_| runtime == RUNTIME), file_name };
        let Ok(interpreter) = Interpreter::recognise(&mem, &candidate) else { continue };
        let threads = Threads::list(&interpreter, &mem);
        let stacks = threads.threads.iter().take(10).map(|thread| walk(&interpreter.layout, &mem, thread.address));
        for entry in interleave(stacks).entries.into_iter().take(100) {
            if let PythonEntry::Frame(frame) = entry {
                let _ = CodeObject::read(&mem, &interpreter.layout, frame.code);
            }
        }
    }
});
