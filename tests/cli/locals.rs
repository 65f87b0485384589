//! `fpprof dump --locals`: the variables of functions have the values that the program says itself.

use serde_json::Value;

use crate::interpreters;
use crate::processes::assert_untouched;
use crate::python::{self, BUSY, Program};
use crate::run::fpprof;

/// Says what `repr` gives for each of its variables that `--locals` shows in the same words, then waits.
const PROGRAM: &str = r#"
import collections, enum, json, os
class Color(enum.IntEnum):
    RED = 3
class Order:
    pass
def outer(n):
    cell = [n]
    def inner(a, *args, key='x', **keywords):
        small, negative, zero, large = 7, -12345678901234567890, 0, 1 << 100
        tiny, half, whole, nan = 1.5e-7, 0.5, 1e16, float('nan')
        yes, no, none, dots = True, False, None, ...
        text, latin, wide, emoji = 'it\'s\n\x1b[2J', 'na\xefve', 'ぬ', '🐍'
        raw, pair, single, nested = b'\x00ab', (1, 'b'), (1,), [[1], {'k': (2.0, None)}]
        table = {'k': 1, 2: [3]}
        holes = {1: 1, 2: 2, 3: 3}
        del holes[2]
        unique, nothing, frozen = {1}, set(), frozenset({2})
        same = {name: repr(value) for name, value in dict(locals()).items()}
        same['cell'] = repr(cell)
        long, many, endless = 'y' * 1000, list(range(100)), []
        endless.append(endless)
        default, color, order, kind = collections.defaultdict(list, {1: [2]}), Color.RED, Order(), Order
        print('ready', flush=True)
        print(json.dumps(same), flush=True)
        os.read(0, 1)
        unbound = 1
    inner(5, 6, 7, z=1)
outer(42)
"#;

fn dump(pid: &str, more: &[&str]) -> Value {
    let ended = fpprof(&[&["dump", "--json", "--locals", "--pid", pid], more].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("it is JSON")
}

/// The frame of a function of the main thread.
fn frame<'a>(document: &'a Value, name: &str) -> &'a Value {
    let frames = document["threads"][0]["frames"].as_array().expect("a list");
    frames.iter().find(|frame| frame["name"] == name).unwrap_or_else(|| panic!("no {name} in {document:#}"))
}

fn value<'a>(frame: &'a Value, name: &str) -> Option<&'a str> {
    let locals = frame["locals"].as_array().expect("a list");
    locals.iter().find(|local| local["name"] == name).map(|local| local["value"].as_str().expect("text"))
}

#[test]
fn variables_have_the_values_that_the_program_says() {
    for interpreter in interpreters::all() {
        let mut target = Program::start(&interpreter, PROGRAM);
        let same: Value = serde_json::from_str(&target.line()).expect("it is JSON");
        let document = dump(&target.pid_text(), &[]);
        let (inner, outer) = (frame(&document, "outer.<locals>.inner"), frame(&document, "outer"));
        for (name, expected) in same.as_object().expect("an object") {
            assert_eq!(value(inner, name), expected.as_str(), "{name} on {}", interpreter.name);
        }
        let (ys, default) = ("y".repeat(100), "collections.defaultdict({1: [2]})");
        for (name, expected) in [
            ("long", Some(format!("'{ys}'…").as_str())),
            ("many", Some("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … 90 more]")),
            ("endless", Some("[…]")),
            ("default", Some(default)),
            ("color", Some("Color(3)")),
            ("order", Some("<Order>")),
            ("kind", Some("<class 'Order'>")),
            ("unbound", None),
        ] {
            assert_eq!(value(inner, name), expected, "{name} on {}", interpreter.name);
        }
        assert_eq!((value(outer, "n"), value(outer, "cell")), (Some("42"), Some("[42]")), "{}", interpreter.name);
        assert_eq!(frame(&document, "<module>")["locals"], Value::Array(Vec::new()), "{}", interpreter.name);
        assert_untouched(target.pid());
        assert!(target.end().success(), "{}", interpreter.name);
    }
}

#[test]
fn a_running_thread_has_values_of_one_moment() {
    let target = Program::start(&python::newest(), BUSY);
    let mut seen = 0;
    for _ in 0..20 {
        let document = dump(&target.pid_text(), &["--native", "none"]);
        let inner = &document["threads"][0]["frames"][0];
        if inner["name"] != "inner" {
            continue;
        }
        let (Some(n), Some(i)) = (value(inner, "n"), value(inner, "i")) else { continue };
        let (n, i): (u64, u64) = (n.parse().expect("a number"), i.parse().expect("a number"));
        // `for i in range(…): n += i`: with `i` or without it yet.
        let before = i * i.saturating_sub(1) / 2;
        assert!(n == before || n == before + i, "n = {n}, i = {i}");
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
    assert_untouched(target.pid());
}

#[test]
fn values_are_shown_only_where_they_are_asked_for() {
    let target = Program::start(&python::newest(), PROGRAM);
    let text = |more: &[&str]| fpprof(&[&["dump", "--pid", &target.pid_text()], more].concat()).stdout;
    assert!(!text(&[]).contains("small = 7\n"), "{}", text(&[]));
    let shown = text(&["--locals"]);
    assert!(shown.contains("\n        small = 7\n") && !shown.contains('\x1b'), "{shown}");
    let plain = fpprof(&["dump", "--json", "--pid", &target.pid_text()]).stdout;
    assert!(plain.contains("\"locals\": null") && !plain.contains("\"small\""), "{plain}");
    assert_eq!(fpprof(&["dump", "--from", "x.json", "--locals"]).code, 2);
}
