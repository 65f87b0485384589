//! What the stop of a running thread is made of, and which way of stopping is shortest on this machine.
//!
//! Does: stop a Python program that is busy, again and again, in several ways in turn, and print for each how long its
//! steps take: medians and 90th percentiles in µs, separately for stops on the thread's own CPU and from another. The last two are the CPU
//! time that waking for a tick takes, and that of the tick and its stop: no sample can cost less.
//! Does not: walk stacks. The command itself (`bench/compare`) is what peers are compared with.
//!
//! `cargo bench --bench stop [-- RATE [SECONDS]]`

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fpprof::capture::native;
use fpprof::capture::ptrace::{Asked, Wait};
use fpprof::sampler::clock::{Clock, Intervals, Tick};
use fpprof::target::memory::{BulkMemory, RangeRead};
use fpprof::target::process_memory::ProcessMemory;
use fpprof::target::threads::Thread;
use fpprof::types::{Addr, Pid, Tid};
use nix::time::{ClockId, clock_gettime};

const BUSY: &str = "while True: sum(range(100))";
/// What a sample of a program of moderate depth copies.
const WINDOW: usize = 8 << 10;
/// How long a stop may take to come.
const PATIENCE: Duration = Duration::from_secs(1);
const STEPS: [&str; 7] = ["stop", "registers", "copy", "let go", "in all", "CPU of a tick", "CPU in all"];

/// One way of stopping.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    spin: Duration,
    warm: bool,
    copy_first: bool,
}

const WAYS: [Way; 6] = [
    Way { name: "sleep", spin: Duration::ZERO, warm: true, copy_first: false },
    Way { name: "spin 20 µs, cold", spin: Duration::from_micros(20), warm: false, copy_first: false },
    Way { name: "spin 20 µs", spin: Duration::from_micros(20), warm: true, copy_first: false },
    Way { name: "spin 60 µs", spin: Duration::from_micros(60), warm: true, copy_first: false },
    Way { name: "spin 200 µs", spin: Duration::from_micros(200), warm: true, copy_first: false },
    Way { name: "spin 60 µs, copy first", spin: Duration::from_micros(60), warm: true, copy_first: true },
];

struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<f64>().ok());
    let rate = numbers.next().unwrap_or(100.0);
    let seconds = numbers.next().unwrap_or(20.0);
    let child = Command::new("python3").args(["-c", BUSY]).stdin(Stdio::null()).spawn().expect("python3 starts");
    let target = Target(child);
    let tid = Tid(target.0.id() as i32);
    std::thread::sleep(Duration::from_millis(300));
    let results = measure(tid, rate, seconds);
    println!("{:24} {:7} {:>6}   {}", "way", "CPU", "stops", STEPS.map(|step| format!("{step:>15}")).join(" "));
    for (way, by_cpu) in WAYS.iter().zip(&results) {
        for (place, stops) in ["another", "own"].iter().zip(by_cpu) {
            let cells = (0..STEPS.len()).map(|step| {
                let mut times: Vec<f64> = stops.iter().map(|stop| stop[step]).collect();
                times.sort_by(f64::total_cmp);
                let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
                format!("{:6.1} ({:6.1})", at(0.5), at(0.9))
            });
            let cells: Vec<String> = cells.collect();
            println!("{:24} {place:7} {:6}   {}", way.name, stops.len(), cells.join(" "));
        }
    }
}

/// The durations of each way's steps, from another CPU and on the thread's own.
fn measure(tid: Tid, rate: f64, seconds: f64) -> Vec<[Vec<[f64; STEPS.len()]>; 2]> {
    let memory = ProcessMemory::new(Pid(tid.0));
    let mut thread = Thread::open(Pid(tid.0), tid).expect("the thread lives");
    let mut results = vec![[Vec::new(), Vec::new()]; WAYS.len()];
    let mut clock = Clock::new(rate, Intervals::Poisson, 42);
    let mut last_sp = Addr(0);
    let mut copied = vec![0; WINDOW];
    let mut copy = |sp: Addr| {
        memory.read_ranges(&mut [RangeRead { addr: sp, into: &mut copied }]);
    };
    let started = Instant::now();
    for way in WAYS.iter().enumerate().cycle() {
        let (index, way) = way;
        if started.elapsed().as_secs_f64() > seconds {
            break;
        }
        let before = own_cpu();
        while clock.wait(None) != Tick::Due {}
        let woken = own_cpu();
        let own = nix::sched::sched_getcpu().ok() == thread.last_cpu();
        let looked = own_cpu();
        if way.warm {
            copy(last_sp);
        }
        let spin = if own { Duration::ZERO } else { way.spin };
        let mut buffer = [0; native::REGISTER_SET_SIZE];
        let at = Instant::now();
        let mut asked = Asked::new(Pid(tid.0), tid).expect("it can be stopped");
        if !asked.wait(Wait::SpinFor(spin)) {
            asked.wait(Wait::SleepFor(PATIENCE));
        }
        let stop = asked.into_stop().expect("it lives").expect("it stops in time");
        let stopped = at.elapsed();
        if way.copy_first {
            copy(last_sp);
        }
        let copied_first = at.elapsed();
        let registers = native::decode(stop.general_registers(&mut buffer).expect("it stands still")).expect("x86-64");
        let with_registers = at.elapsed();
        last_sp = Addr(registers.get(native::SP).unwrap_or(0));
        if !way.copy_first {
            copy(last_sp);
        }
        let copied = at.elapsed();
        stop.resume();
        let all = at.elapsed();
        let (of_tick, of_all) = (woken - before, own_cpu() - looked + woken - before);
        let times = [
            stopped,
            with_registers - copied_first,
            (copied_first - stopped) + (copied - with_registers),
            all - copied,
            all,
            of_tick,
            of_all,
        ];
        results[index][usize::from(own)].push(times.map(|time| time.as_secs_f64() * 1e6));
        clock.skip_missed();
    }
    results
}

/// The CPU time of this thread.
fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has it").into()
}
