//! The `fpprof` program: parse, run, exit code. The only place that exits.

fn main() {}
