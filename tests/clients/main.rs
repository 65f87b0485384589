//! Every format, opened by the program that people open it with: it says what the recording holds, and the same totals.
//!
//! `tests/clients/setup` installs the programs.

mod recording;
mod tools;

use std::fs;
use std::path::Path;

use recording::{BUILD_ID, HOSTILE, ON_CPU, PERIOD, THREADS, TOTAL, source_line};
use serde_json::Value;
use tools::{FirefoxProfiler, Scratch, clients, node, node_json, pprof};

/// Why the empty recording is empty.
const REASON: &str = "the target had no thread with a stack";

/// As speedscope words a time from 1 s to 60 s.
fn seconds(ticks: u64) -> String {
    format!("{:.2}s", (ticks * PERIOD) as f64 / 1e9)
}

#[test]
fn pprof_tells_functions_files_modules_threads_states_and_times() {
    let scratch = Scratch::new();
    let profile = scratch.report(false, "run.pb.gz", &["-f", "pprof"]);
    let raw = pprof(&["-raw"], &profile);
    let values = |line: &str| -> Option<[u64; 3]> {
        let (values, locations) = line.split_once(':')?;
        locations.trim().chars().next().filter(char::is_ascii_digit)?;
        let values: Vec<u64> = values.split_whitespace().map(|value| value.parse().ok()).collect::<Option<_>>()?;
        values.try_into().ok()
    };
    let samples = raw.lines().skip_while(|line| *line != "Samples:").take_while(|line| *line != "Locations");
    let sums = samples.filter_map(values).fold([0; 3], |sum, values| [0, 1, 2].map(|n| sum[n] + values[n]));
    assert_eq!(sums, [TOTAL, ON_CPU * PERIOD, TOTAL * PERIOD], "{raw}");
    for words in [
        "samples/count cpu/nanoseconds wall/nanoseconds[dflt]",
        "state:[I/O: read socket] thread:[worker; 1 <&>]",
        "tid:[4712]",
        &format!("{HOSTILE} app.py:12 s=10"),
        // The interpreter is the first of the modules.
        "M=1 os_read Modules/posixmodule.c:11111",
        &format!("/usr/bin/python3.15 {BUILD_ID} [FN][FL][LN]"),
        "Period: 10000000",
        "2026-05-28 20:26:40",
    ] {
        assert!(raw.contains(words), "{words} is not in {raw}");
    }
    let top = pprof(&["-top"], &profile);
    for words in [BUILD_ID, "Total samples = 6400ms", "deflate", HOSTILE, "<module>", "recorded by: fpprof"] {
        assert!(top.contains(words), "{words} is not in {top}");
    }
    let peek = pprof(&["-sample_index=cpu", "-peek=^deflate$"], &profile);
    assert!(peek.lines().any(|line| line.contains(HOSTILE) && line.contains("100%")), "its caller: {peek}");
    assert!(peek.contains("Total samples = 2400ms"), "{peek}");
    let of_state = pprof(&["-top", "-sample_index=samples", "-tagfocus=read socket"], &profile);
    assert!(of_state.contains("400"), "{of_state}");
}

#[test]
fn pprof_opens_an_empty_profile_and_says_why_it_is_empty() {
    let scratch = Scratch::new();
    let profile = scratch.report(true, "run.pb.gz", &["-f", "pprof"]);
    assert!(pprof(&["-comments"], &profile).contains(REASON));
    assert!(pprof(&["-raw"], &profile).contains("samples/count cpu/nanoseconds wall/nanoseconds"));
}

#[test]
fn the_firefox_profiler_tells_threads_categories_states_and_totals() {
    let scratch = Scratch::new();
    let profile = scratch.report(false, "run.firefox.json", &["-f", "firefox"]);
    let profiler = FirefoxProfiler::open(&scratch, &profile);
    let list = profiler.ask(&["thread", "list"]);
    let threads = list["threads"].as_array().expect("threads");
    assert_eq!(threads.len(), THREADS.len());
    for (tid, ticks) in THREADS {
        let tid_text = tid.to_string();
        let thread = threads.iter().find(|thread| thread["tid"] == *tid_text).expect("each thread is there");
        let handle = thread["threadHandle"].as_str().expect("a handle");
        let functions = profiler.ask(&["thread", "functions", "--thread", handle, "--include-idle"]);
        let own = functions["functions"].as_array().expect("functions").iter();
        let own: u64 = own.map(|function| function["selfSamples"].as_u64().expect("a number")).sum();
        assert_eq!(own, ticks, "{functions}");
        // CPU time is of what came before a sample: the first one's, which stands for three ticks, is not seen.
        let expected = if tid == 4711 { (ON_CPU - 3) * PERIOD / 1_000_000 } else { 0 };
        assert!((thread["cpuMs"].as_f64().expect("a time") - expected as f64).abs() < 1.0, "{thread}");
    }
    let text = profiler.ask(&["thread", "samples", "--thread", "t-0", "--include-idle"]).to_string();
    for words in ["your code", "libc and system", "deflate (libz.so.1.3)"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let markers = profiler.ask(&["thread", "markers", "--thread", "t-0", "--list"]).to_string();
    assert!(markers.contains("on CPU: native"), "{markers}");
}

#[test]
fn the_firefox_profiler_opens_an_empty_profile() {
    let scratch = Scratch::new();
    let profile = scratch.report(true, "run.firefox.json", &["-f", "firefox"]);
    let profiler = FirefoxProfiler::open(&scratch, &profile);
    let list = profiler.ask(&["thread", "list"]).to_string();
    assert!(list.contains(REASON), "{list}");
}

#[test]
fn speedscope_opens_its_own_format_collapsed_stacks_and_traces() {
    let scratch = Scratch::new();
    let report = |is_empty, name, format| scratch.report(is_empty, name, &["-f", format]);
    let files = [
        report(false, "run.speedscope.json", "speedscope"),
        report(false, "run.txt", "collapsed"),
        report(false, "run.trace.json", "chrometrace"),
        report(true, "empty.speedscope.json", "speedscope"),
    ];
    let shown = node_json("speedscope.mjs", &files);
    let shown = shown.as_array().expect("a list");
    for shown in shown {
        assert_eq!(shown["complaints"], Value::Array(Vec::new()), "{shown}");
    }
    let [own, collapsed, trace, empty] = &shown[..] else { panic!("{shown:?}") };
    assert!(own["title"].as_str().expect("a title").starts_with("python3 -m shop <orders> (pid 4711)"));
    let totals: Vec<&str> =
        own["profiles"].as_array().expect("a list").iter().filter_map(|p| p["total"].as_str()).collect();
    assert_eq!(totals, THREADS.map(|(_, ticks)| seconds(ticks)));
    assert!(own["functions"].to_string().contains("größe.<locals>.<lambda>"), "{own}");
    let first = |time: &Value| time.as_str().and_then(|text| text.split(' ').next()).map(str::to_owned);
    let ticks = |row: &Value| first(&row["own"]).and_then(|own| own.replace(',', "").parse::<u64>().ok());
    let counts = collapsed["functions"].as_array().expect("a list").iter();
    assert_eq!(counts.map(|row| ticks(row).expect("a count")).sum::<u64>(), TOTAL);
    assert_eq!(trace["profiles"].as_array().map(Vec::len), Some(THREADS.len()), "{trace}");
    assert!(empty.to_string().contains(REASON), "{empty}");
}

#[test]
fn a_browser_shows_pictures_that_can_be_searched_and_zoomed() {
    for (name, arguments) in
        [("run.svg", &[][..]), ("inverted.svg", &["--inverted"]), ("run.chart.svg", &["-f", "flamechart"])]
    {
        let scratch = Scratch::new();
        let picture = scratch.report(false, name, arguments);
        let screenshot = scratch.file("picture.png");
        let shown = node_json("svg.mjs", &[picture.as_os_str(), "deflate".as_ref(), screenshot.as_os_str()]);
        assert_eq!(shown["complaints"], Value::Array(Vec::new()), "{name}");
        assert!(shown["title"].as_str().is_some_and(|title| title.contains("<orders>")), "{name}: {shown}");
        assert!(shown["text"].as_str().is_some_and(|text| text.contains(HOSTILE)), "{name}: {shown}");
        let frames = shown["frames"].as_array().expect("a list");
        assert!(frames.contains(&Value::from("all (640 samples, 100%)")), "{name}: {frames:?}");
        // A quarter of the first thread's ticks: 60 of 640.
        assert_eq!(shown["matched"], "Matched: 9.4%", "{name}");
        assert!(shown["zoomed"].as_array().is_some_and(|zoomed| zoomed.len() < frames.len()), "{name}: {shown}");
        assert_eq!(shown["unzoomed"], shown["frames"], "{name}");
        assert!(fs::metadata(screenshot).is_ok_and(|picture| picture.len() > 10_000), "{name}");
    }
}

#[test]
fn a_browser_shows_the_page_and_its_views_by_mouse_and_by_keyboard() {
    let scratch = Scratch::new();
    let page = scratch.report(false, "run.html", &["--sources", &scratch.file(".").to_string_lossy()]);
    let screenshot = scratch.file("picture.png");
    let shown = node_json("html.mjs", &[page.as_os_str(), "deflate".as_ref(), screenshot.as_os_str()]);
    let none = Value::Array(Vec::new());
    assert_eq!((&shown["complaints"], &shown["requests"]), (&none, &none), "nothing is loaded, nothing fails: {shown}");
    assert!(fs::metadata(screenshot).is_ok_and(|picture| picture.len() > 10_000));
    assert_eq!((&shown["title"], &shown["empty"]), (&"python3 -m shop <orders> (pid 4711)".into(), &"".into()));
    assert_eq!(shown["images"], 2, "names are text: the data and the script are all that there is");
    let list = |name: &str| shown[name].as_array().unwrap_or_else(|| panic!("no {name}: {shown}")).clone();
    let texts =
        |name: &str| -> Vec<String> { list(name).iter().filter_map(|v| v.as_str().map(str::to_owned)).collect() };

    assert_eq!(shown["details"], "all: 100.0 %, 640 samples, 6.40 s; itself 0.0 %");
    let hostile = format!("{HOSTILE} (app.py:12)");
    assert!(texts("frames").iter().any(|frame| frame.starts_with(&hostile)), "{shown}");
    assert!(
        shown["below"].as_str().is_some_and(|frame| frame.starts_with("<module> (app.py:40): your code, 68.8 %")),
        "{shown}"
    );
    assert!(list("zoomed").len() < list("frames").len(), "{shown}");
    assert_eq!(shown["unzoomed"], shown["frames"]);
    // A quarter of the first thread's ticks: 60 of 640.
    assert_eq!(shown["searched"], "“deflate” is in 9.38 % of the samples");
    assert!(
        texts("found")
            .iter()
            .all(|frame| frame.starts_with("deflate (libz.so.1.3): libc and system, 9.38 %, 60 samples"))
    );
    assert!(list("clicked").len() < list("frames").len(), "{shown}");
    assert_eq!(shown["left"], none);

    let rows = |name: &str| -> Vec<Vec<String>> {
        list(name)
            .iter()
            .map(|row| row.as_array().expect("cells").iter().map(|c| c.as_str().unwrap_or("").into()).collect())
            .collect()
    };
    // The table opens on functions of Python, with what they call: the first thread's 240 ticks of 640, and `os_read`.
    let folded = rows("folded");
    assert_eq!((folded.len(), &folded[0][..2]), (2, &["37.5 %".to_owned(), "37.5 %".to_owned()][..]), "{folded:?}");
    assert_eq!(folded[1], ["31.3 %", "68.8 %", "", "<module>", "app.py"]);
    assert_eq!(shown["withoutPython"], "31.3 % is of stacks without a function of Python.");
    assert_eq!(rows("functions")[1], ["31.3 %", "31.3 %", "", "os_read", "python3.15"]);
    let names: Vec<String> = rows("byName").into_iter().map(|row| row[3].clone()).collect();
    assert_eq!((&names[1..3], &shown["sorted"]), (&["<module>".into(), "deflate".into()][..], &"ascending".into()));
    assert_eq!(rows("filtered"), [["9.38 %", "9.38 %", "", "deflate", "libz.so.1.3"]]);
    assert_eq!(shown["opened"], true);

    let source = &shown["source"];
    assert_eq!(
        (&source["isShown"], &source["files"][0], &source["note"]),
        (&true.into(), &"68.8 %  app.py".into(), &"".into())
    );
    let lines = source["rows"].as_array().expect("lines");
    // Three quarters of the first thread's ticks are in line 12 and what it calls in C, a quarter in line 13; line 40 has called both.
    for (number, own, total) in
        [(11, "", ""), (12, "28.1 %", "28.1 %"), (13, "9.38 %", "9.38 %"), (40, "31.3 %", "68.8 %")]
    {
        let line: Vec<&str> = lines[number - 1].as_array().expect("cells").iter().filter_map(Value::as_str).collect();
        assert_eq!(line, [own, total, &number.to_string(), &source_line(number)]);
    }
    assert_eq!((lines.len(), &source["hot"], &shown["inView"]), (60, &3.into(), &true.into()));
    assert_eq!((&source["here"], &shown["next"]), (&source_line(40).into(), &source_line(12).into()));

    let threads = texts("threads");
    assert_eq!(threads.len(), THREADS.len());
    for (thread, words) in threads.iter().zip(["MainThread 4711", "worker; 1 <&> 4712", "unnamed 4713"]) {
        assert!(thread.starts_with(words), "{thread}");
    }
    assert!(threads[0].contains("on CPU: Python 75.0 %, on CPU: native 25.0 %"), "{threads:?}");
    assert!(
        texts("frames").len() > 3 && shown["states"].as_str().is_some_and(|states| states.contains("I/O: read socket"))
    );
    assert!(shown["moment"].as_str().is_some_and(|moment| moment.contains("MainThread: on CPU")), "{shown}");
    assert!(shown["moment"] != shown["later"] && shown["drawn"] == 2, "{shown}");

    assert!(shown["light"] != shown["dark"] && shown["dark"] == shown["preferred"], "{shown}");
}

#[test]
fn a_browser_shows_why_a_page_is_empty() {
    let scratch = Scratch::new();
    let page = scratch.report(true, "run.html", &[]);
    let shown = node_json("html.mjs", &[page.as_os_str(), "".as_ref(), scratch.file("picture.png").as_os_str()]);
    assert_eq!(shown["complaints"], Value::Array(Vec::new()), "{shown}");
    assert_eq!(shown["empty"], format!("No samples: {REASON}"));
    assert!(shown["facts"].as_str().is_some_and(|facts| facts.contains("CPython 3.15.2")), "{shown}");
}

#[test]
fn a_browser_shows_why_a_picture_is_empty() {
    for format in ["flamegraph", "flamechart"] {
        let scratch = Scratch::new();
        let picture = scratch.report(true, "run.svg", &["-f", format]);
        let shown = node_json("svg.mjs", &[picture.as_os_str(), "".as_ref(), scratch.file("picture.png").as_os_str()]);
        assert!(shown["text"].as_str().is_some_and(|text| text.contains(REASON)), "{format}: {shown}");
    }
}

#[test]
fn json_keeps_to_its_schemas_and_has_the_same_totals() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_speedscope = clients().join("node_modules/speedscope/dist/release/file-format-schema.json");
    let schemas = [
        ("speedscope", "o.json", of_speedscope, ""),
        ("chrometrace", "o.trace.json", here.join("tests/clients/trace.schema.json"), ""),
        ("jsonl", "o.jsonl", here.join("docs/samples.schema.json"), "--lines"),
    ];
    for is_empty in [false, true] {
        for (format, name, schema, lines) in &schemas {
            let scratch = Scratch::new();
            let output = scratch.report(is_empty, name, &["-f", format]);
            node("schema.mjs", &[schema.as_os_str(), output.as_os_str(), lines.as_ref()]);
            let text = fs::read_to_string(&output).expect("it was written");
            if is_empty {
                assert!(text.contains(REASON), "{format}: {text}");
                continue;
            }
            assert_eq!(total(format, &text), TOTAL, "{format}");
        }
    }
}

/// The ticks in a JSON document.
fn total(format: &str, text: &str) -> u64 {
    let number = |value: &Value| value.as_u64().expect("a number");
    match format {
        "jsonl" => {
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
            let header = lines.next().expect("a header");
            let sum = lines.map(|sample| number(&sample["weight"])).sum();
            assert_eq!(number(&header["total_weight"]), sum);
            sum
        }
        "speedscope" => {
            let document: Value = serde_json::from_str(text).expect("it is JSON");
            let profiles = document["profiles"].as_array().expect("a list").iter();
            let weights = profiles.flat_map(|profile| profile["weights"].as_array().expect("a list"));
            weights.map(number).sum::<u64>() / PERIOD
        }
        "chrometrace" => {
            let document: Value = serde_json::from_str(text).expect("it is JSON");
            let events = document["traceEvents"].as_array().expect("a list").iter();
            let mut ends = std::collections::HashMap::new();
            // The outermost slices: those that begin when the one before has ended.
            let outermost = events.filter(|event| event["ph"] == "X").filter(|event| {
                let (start, end) = (number(&event["ts"]), number(&event["ts"]) + number(&event["dur"]));
                let last = ends.entry(number(&event["tid"])).or_insert(0);
                let is_outermost = start >= *last;
                *last = end.max(*last);
                is_outermost
            });
            outermost.map(|event| number(&event["args"]["samples"])).sum()
        }
        other => panic!("{other}"),
    }
}
