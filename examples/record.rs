//! Records a process for ten seconds: `cargo run --example record -- 1234 profile.svg`.

use std::fs::File;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let [pid, path] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: record PID FILE")
    };
    let process = fpprof::attach(pid.parse()?)?;
    let version = process.python_version();
    let profile = fpprof::Recorder::new().duration(Duration::from_secs(10)).record(process)?;
    profile.write(fpprof::Format::FlameGraph, &mut File::create(path)?)?;
    println!("{} stacks of CPython {version} in {path}", profile.stacks().len());
    Ok(())
}
