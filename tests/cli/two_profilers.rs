//! Two recordings of one process at the same time: at most one program traces a thread (ptrace(2)).

use nix::sys::signal::Signal;

use crate::patience::eventually;
use crate::processes::{assert_runs_on, cpu_time};
use crate::python::{self, BUSY, Program};
use crate::run::{Ended, Running, start};

/// A number in the summary: the word that stands behind `before`, without its commas.
fn number(ended: &Ended, before: &str) -> u64 {
    let word = ended.stderr.split_once(before).and_then(|(_, rest)| rest.split_whitespace().next());
    word.and_then(|word| word.replace(',', "").parse().ok()).unwrap_or_else(|| panic!("no {before:?} in {ended:?}"))
}

#[test]
fn two_recordings_of_one_process_both_end_well() {
    let target = Program::start(&python::newest(), BUSY);
    for mode in ["cpu", "wall"] {
        let recordings: Vec<Running> =
            (0..2).map(|_| start(&["-r", "500", "--mode", mode, "-o", "o.txt", "-p", &target.pid_text()])).collect();
        for recording in &recordings {
            recording.wait_until_sampling(target.pid());
        }
        // Both have taken samples when they have used some CPU time.
        for recording in &recordings {
            let before = cpu_time(recording.pid());
            eventually("fpprof samples", || cpu_time(recording.pid()) > before + 100_000_000);
        }
        for recording in recordings {
            recording.signal(Signal::SIGINT);
            let ended = recording.wait();
            assert!(ended.recorded().contains(";inner (<string>:"), "{ended:?}");
            // How many depends on how long stops take to come: while one is waited for, the thread is the other's.
            let failed = number(&ended, " late, ");
            assert!(failed == 0 || ended.stderr.contains("failed: "), "{ended:?}");
        }
        assert_runs_on(target.pid());
    }
}
