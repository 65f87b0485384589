//! Recordings that are well formed and mean much: depths × numbers of stacks, threads, samples, inlined functions and lengths of names.
//! Whatever they mean, a report has the memory that `--max-memory` allows, which libFuzzer's own limit (`-rss_limit_mb`) holds it to.

#![no_main]

use std::fmt::Write;

use fpprof::output::format::Format;
use fpprof::output::label::LabelOptions;
use fpprof::profile::recording::{self, ReadingRoom};
use fpprof::report::RecordingPart;
use fpprof::report::options::ReportOptions;
use fpprof::target::memory_budget::{self, Meter, Share};
use fpprof::types::room::MemorySize;
use libfuzzer_sys::fuzz_target;

/// Beside what libFuzzer and its sanitizer take: they keep what was freed for a while.
const ALLOWED: MemorySize = MemorySize(256 << 20);

/// A number up to a power of two, by a byte that chooses the power.
fn number(bytes: &mut impl Iterator<Item = u8>, most: u32) -> usize {
    let (power, rest) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
    (1 << (u32::from(power) % (most + 1))) + usize::from(rest)
}

/// `[f(0),f(1),…]`.
fn list(length: usize, element: impl Fn(usize) -> String) -> String {
    let elements: Vec<String> = (0..length).map(element).collect();
    format!("[{}]", elements.join(","))
}

fuzz_target!(|bytes: &[u8]| {
    memory_budget::set_limit(ALLOWED);
    let mut bytes = bytes.iter().copied();
    let (depth, leaves) = (number(&mut bytes, 11), number(&mut bytes, 4));
    let (threads, samples) = (number(&mut bytes, 4), number(&mut bytes, 5));
    let (functions, inlined, name) = (number(&mut bytes, 10), number(&mut bytes, 12), number(&mut bytes, 20));
    let format = Format::ALL[usize::from(bytes.next().unwrap_or(0)) % Format::ALL.len()];
    let switches = bytes.next().unwrap_or(0);

    let mut lines = String::from("{\"fpprof_recording\":{\"version\":2}}\n");
    let mut line = |text: String| writeln!(lines, "{text}").expect("a string takes all");
    line(r#"{"facts":{"command":"","pid":1,"python_version":null,"threads":"All","rate_hz":100.0,"fixed_intervals":false,"started":null,"duration":{"secs":1,"nanos":0},"samples_wanted":0,"samples_taken":0,"samples_late":0,"samples_failed":0,"samples_left_out":0,"limit":null,"failures":{},"stacks":0,"stacks_complete":0,"activity":{"states":{},"gil":null},"stops":null,"own_cpu":null,"fpprof_version":""}}"#.into());
    line(r#"{"program":{"number":0,"pid":1,"command":null,"interpreter":0,"project":null,"home":null}}"#.into());
    let long = "n".repeat(name);
    let function = |n: usize| format!(r#"{{"qualname":"{long}{n}","filename":"/x.py","first_line":1}}"#);
    // All names together are bounded here: they are what they are, and unfold to nothing.
    let functions = functions.min((4 << 20) / (name + 64) + 1);
    line(format!(r#"{{"functions":{{"program":0,"list":{}}}}}"#, list(functions, function)));
    line(format!(
        r#"{{"threads":{{"program":0,"list":{}}}}}"#,
        list(threads, |n| format!(r#"{{"tid":{},"name":null}}"#, n + 1))
    ));
    line(r#"{"states":{"program":0,"list":[{"id":"python","on_cpu":true}]}}"#.into());
    line(format!(
        r#"{{"frames":{{"program":0,"list":{}}}}}"#,
        list(functions + 1, |n| if n == 0 {
            r#"{"unnamed":1}"#.into()
        } else {
            format!(r#"{{"python":[{},1]}}"#, n - 1)
        })
    ));
    let frame = |n: usize| (n % (functions + 1)).to_string();
    let caller = |n: usize| n.min(depth).to_string();
    let stacks = depth + leaves;
    line(format!(r#"{{"stacks":{{"program":0,"caller":{},"frame":{}}}}}"#, list(stacks, caller), list(stacks, frame)));
    let ones = list(samples, |_| "1".into());
    let (zeros, thread) = (list(samples, |_| "0".into()), list(samples, |n| (n % threads).to_string()));
    let stack = list(samples, |n| (depth + n % leaves + 1).min(stacks).to_string());
    line(format!(
        r#"{{"samples":{{"program":0,"after":{ones},"thread":{thread},"state":{zeros},"stack":{stack},"weight":{ones}}}}}"#
    ));
    let inlined =
        list(inlined, |_| r#"{"kind":"Jit","name":"j","source":null,"module":null,"is_inlined":true}"#.into());
    line(format!(r#"{{"names":{{"program":0,"first":0,"names":[{{"frames":{inlined},"role":"Native"}}]}}}}"#));
    line(r#"{"end":{}}"#.into());

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, lines.as_bytes()).expect("a vector takes all");
    let packed = packed.finish().expect("a vector takes all");
    let (mut samples, mut rest) = (Meter::new(Share::Reading), Meter::new(Share::Making));
    let mut room = ReadingRoom { samples: &mut samples, rest: &mut rest };
    let recording = recording::read_within(&packed[..], packed.len() as u64, &mut room);
    // Even this may be more than there is room for, when libFuzzer itself has taken most.
    let Ok(recording) = recording else { return };
    let choice =
        ReportOptions { with_thread: switches & 1 != 0, inverted: switches & 2 != 0, ..ReportOptions::default() };
    let part = RecordingPart::of(&recording, &choice, &Default::default());
    drop(recording);
    let labels = LabelOptions::default();
    if let Ok(part) = part.fitted(format, &labels) {
        let _ = part.write(format, &labels, &mut std::io::sink());
    }
});
