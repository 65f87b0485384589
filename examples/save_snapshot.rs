//! Saves one thread of a CPython process at one moment, as a snapshot that fpprof's tests can run again.
//!
//! ```text
//! cargo run --example save_snapshot -- --pid 4242 -o case.json
//! cargo run --example save_snapshot -- --pid 4242 --innermost libc.so.6 -o case.json
//! ```
//!
//! It samples the thread until the stack is one that was asked for, saves it, runs what it has saved, and prints what
//! that gave. See docs/snapshots.md before you share the file.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use fpprof::process::reader::Reader;
use fpprof::process::reading::Reading;
use fpprof::python::layout::{CFrameChain, ChainLayout};
use fpprof::python::stack::PythonEntry;
use fpprof::snapshot::replay::Replay;
use fpprof::snapshot::subject::{Saved, ThreadToSave};
use fpprof::target::live::LiveTarget;
use fpprof::target::memory::Memory;
use fpprof::target::process::Process;
use fpprof::types::{Addr, Pid, Tid};

/// Save one thread of a CPython process at one moment.
#[derive(Parser)]
struct Arguments {
    /// The process.
    #[arg(long)]
    pid: i32,
    /// The thread; the main thread if left out.
    #[arg(long)]
    thread: Option<i32>,
    /// The file to write.
    #[arg(short, long)]
    output: PathBuf,
    /// How many samples to learn from before one is saved.
    #[arg(long, default_value_t = 20)]
    learn: u32,
    /// Save only a stack whose innermost frame has this text in its line of the output.
    #[arg(long, default_value = "")]
    innermost: String,
    /// Save only a stack that has this text in a line of the output.
    #[arg(long, default_value = "")]
    contains: String,
    /// Save only a moment of 3.11 or 3.12 in which an evaluation has just linked its `_PyCFrame`, so that the pointer to
    /// the innermost frame in it is left over from something else.
    #[arg(long)]
    torn: bool,
    /// How often to try.
    #[arg(long, default_value_t = 100_000)]
    tries: u32,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let pid = Pid(arguments.pid);
    let mut reader = Reader::new(Arc::new(LiveTarget::new(Process::open(pid)?)?))?;
    let mut subject = ThreadToSave::new(&mut reader, Tid(arguments.thread.unwrap_or(arguments.pid)))?;
    for taken in 0..arguments.tries {
        let sampled = subject.sample().context("the thread cannot be read")?;
        let Some(reading) = sampled.filter(|_| taken >= arguments.learn) else { continue };
        // A code object can have been replaced between the capture and now: that stack is not saved.
        let Ok(Saved { json, frames, replay }) = subject.save(&reading) else { continue };
        let lines: Vec<String> = frames.iter().map(|frame| replay.describe(frame)).collect();
        let wanted = lines.first().is_some_and(|line| line.contains(&arguments.innermost))
            && lines.iter().any(|line| line.contains(&arguments.contains))
            && (!arguments.torn || is_torn(subject.reader(), &reading, &replay));
        if wanted {
            std::fs::write(&arguments.output, json).with_context(|| format!("{}", arguments.output.display()))?;
            println!("{}", lines.join("\n"));
            return Ok(());
        }
    }
    bail!("no such stack in {} samples", arguments.tries)
}

/// Whether the pointer to the innermost frame does not lead to the first frame of the walk.
fn is_torn(reader: &Reader, reading: &Reading, replay: &Replay) -> bool {
    let ChainLayout::CFrame(CFrameChain { cframe, current_frame, .. }) = reader.found.interpreter.layout.chain else {
        return false;
    };
    let copies = &reading.captured;
    let linked = |state: &Addr| {
        let cframe = copies.read_addr(state.wrapping_add(cframe)).ok()?;
        copies.read_addr(cframe.wrapping_add(current_frame)).ok()
    };
    let linked = replay.snapshot().thread_states.first().and_then(linked);
    let walked = replay.walk().and_then(|python| python.entries.first().copied());
    match walked {
        Some(PythonEntry::Frame(frame)) => linked.is_some_and(|linked| linked != frame.frame),
        _ => false,
    }
}
