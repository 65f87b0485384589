//! What is known of a binary is known once, whichever process runs it.

use std::sync::Arc;

use fpprof::sampler::mode::Mode as Sampled;
use fpprof::sampler::session::Session;

use crate::interpreters;
use crate::reading;
use crate::target::{Mode, Target};

/// Ticks after which it is certain where an eval frame lies on the native stack.
const TICKS: usize = 20;

#[test]
fn a_second_process_of_an_interpreter_begins_with_what_the_first_has_taught() {
    for interpreter in interpreters::all() {
        let targets = [0, 1].map(|_| Target::spawn(&interpreter, "threads", Mode::Park, &[]));
        let mut first = reading::session(targets[0].pid(), Sampled::Wall);
        for _ in 0..TICKS {
            first.tick(1, &mut |_| {});
        }
        let learned = first.reader.learned().certain();
        let second = Session::after(&first, reading::process(targets[1].pid())).expect("an interpreter");
        assert!(learned.is_some(), "{}", interpreter.name);
        assert_eq!(second.reader.learned().certain(), learned, "{}", interpreter.name);
        let mut shared = 0;
        let files = [&first, &second].map(|session| session.reader.space.modules.list());
        for module in files[1] {
            let same = files[0].iter().find(|other| other.path == module.path).expect("both have mapped it");
            if let (Ok(one), Ok(other)) = (&module.elf, &same.elf) {
                assert!(Arc::ptr_eq(one, other), "{}: {}", interpreter.name, module.path.display());
                shared += 1;
            }
        }
        assert!(shared >= 3, "{}: the interpreter, its C library and the loader, at least", interpreter.name);
        drop(first);
        let alone = reading::session(targets[1].pid(), Sampled::Wall);
        assert_eq!(alone.reader.learned().certain(), None, "{}: what nobody shares is not known", interpreter.name);
        for target in targets {
            assert!(target.release().success());
        }
    }
}
