//! A program whose memory does not answer holds nobody up but itself.

use std::process::Command;

use crate::patience::milliseconds;
use crate::python::{self, Program};
use crate::run::{Scratch, fpprof, record};

/// Looks like an interpreter by its symbols. Its runtime is memory whose pages it is to serve itself (userfaultfd(2)), and never does.
const HELD: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((aligned(4096))) char _PyRuntime[1 << 20];
const unsigned Py_Version = 0x030d00f0;
int main(void) {
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register all = {.range = {(unsigned long)_PyRuntime, sizeof _PyRuntime}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &all)) { perror("userfaultfd"); return 1; }
    puts("ready");
    fflush(stdout);
    char end;
    return read(0, &end, 1) < 0;
}
"#;

/// Starts it; its command line has `unique` in it.
fn held(scratch: &Scratch, unique: &str) -> Program {
    let (source, program) = (scratch.path().join("held.c"), scratch.path().join("held"));
    std::fs::write(&source, HELD).expect("the folder is ours");
    let built = Command::new("gcc").args(["-O1", "-rdynamic", "-o"]).arg(&program).arg(&source).status();
    assert!(built.expect("there is a compiler").success());
    let mut command = Command::new(program);
    command.arg(unique);
    let mut held = Program::spawn(command);
    assert_eq!(held.line(), "ready");
    held
}

#[test]
fn others_are_recorded_and_shown_beside_a_program_whose_memory_does_not_answer() {
    let (scratch, unique) = (Scratch::new(), format!("fpprof-held-{}", std::process::id()));
    let held = held(&scratch, &unique);
    let code = format!("{}\n# {unique}", python::BUSY);
    let other = Program::start(&python::shared(), &code);
    let time = format!("{}ms", milliseconds(4000));
    let recorded = record(&["--name", &unique, "--max-overhead", "none", "-d", &time, "-o", "o.txt"]);
    let not_recorded = format!("not recorded: process {} (held): its memory does not answer", held.pid());
    assert!(recorded.stderr.contains(&not_recorded), "{recorded:?}");
    assert!(recorded.recorded().contains("inner (<string>:"), "{recorded:?}");
    let shown = fpprof(&["dump", "--name", &unique]);
    assert!(shown.stdout.contains("inner (<string>:"), "{shown:?}");
    assert!(shown.stderr.contains("(held) is not shown: its memory does not answer"), "{shown:?}");
    assert!(held.end().success());
    drop(other);
}
