"""Tests of what `wheels` computes: `python3 -m unittest discover bench/wheels`. They install nothing, and run no profiler."""

import ast
import gzip
import json
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent / "compare"))

import counts  # noqa: E402  (its folder comes first)
import install  # noqa: E402
import table  # noqa: E402
import weak  # noqa: E402

NATIVE, CALLER = [1, 0x1234, None], [1, 0x2000, [0x1f00, 0x2100]]


def recording(folder):
    """A recording of 13 stacks: 10 whole, 2 with a gap outside of a wheel's code without tables, 1 of Python alone."""
    named = {"frames": [{"kind": "NativeExtension", "name": "fast"}], "role": "Native"}
    unnamed = {"frames": [{"kind": "NativeExtension", "name": "fast.so+0x1234"}], "role": "Native"}
    records = [
        {"fpprof_recording": {"version": 2}},
        {"program": {"number": 0, "pid": 1, "interpreter": 0, "project": "/", "home": None}},
        {"modules": {"program": 0, "list": [{"path": "/usr/bin/python3"}, {"path": "/site/fast.so"}]}},
        {"frames": {"program": 0, "list": [{"python": [0, 1]}, {"native": CALLER}, {"native": NATIVE}, {"missing": "no_unwind_rule"}]}},
        {"stacks": {"program": 0, "caller": [0, 1, 2, 1, 4], "frame": [0, 1, 2, 3, 2]}},
        {"samples": {"program": 0, "after": [1] * 14, "thread": [0] * 14, "state": [0] * 14,
                     "stack": [1] + [3] * 8 + [2] * 2 + [5] * 2 + [3], "weight": [1] * 13 + [0]}},
        {"names": {"program": 0, "first": 1, "names": [named, unnamed]}},
        {"facts": {"stacks": 13, "stacks_complete": 11, "samples_late": 1, "samples_failed": 0, "samples_wanted": 14, "samples_taken": 13}},
        {"later": {"program": 0}}, {"end": {}},
    ]
    file = Path(folder) / "run.fpprof"
    # Each block is a gzip member of its own.
    file.write_bytes(b"".join(gzip.compress(json.dumps(record).encode() + b"\n") for record in records))
    return file


class Counts(unittest.TestCase):
    def test_stacks_and_frames_are_counted_as_what_they_are(self):
        with tempfile.TemporaryDirectory() as folder:
            figures = counts.of(recording(folder), "/site")
        self.assertEqual((figures["stacks"], figures["complete"], figures["counted"]), (13, 11, 13))
        # Innermost functions with a name: one of Python, two of the wheel.
        self.assertEqual(figures["named_leaves"], 3)
        self.assertEqual(figures["through_site"], 12)
        self.assertEqual((figures["site_frames"], figures["described_site_frames"]), (8 * 2 + 2 + 2, 10))
        self.assertEqual(figures["gaps"], [{"reason": "no_unwind_rule", "place": "fast.so+0x1234", "stacks": 2}])
        self.assertEqual(figures["leaf_modules"][0], {"module": "fast.so", "stacks": 12})

    def test_a_folder_that_begins_alike_is_not_the_wheels(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(counts.of(recording(folder), "/sit")["through_site"], 0)


class Pins(unittest.TestCase):
    def test_each_wheel_is_pinned_once_with_all_that_it_needs(self):
        wheels = list(install.wheels())
        self.assertEqual(len({wheel.project for wheel in wheels}), len(wheels))
        for wheel in wheels:
            for pin in wheel.pins:
                self.assertRegex(pin, r"^[a-z0-9_.]+==[0-9a-z.]+$")

    def test_each_wheel_has_its_work_and_no_work_is_without_a_wheel(self):
        work = [node.name for file in (HERE / "workloads").glob("*.py") for node in ast.parse(file.read_text()).body
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
        self.assertEqual(sorted(work), sorted(wheel.project for wheel in install.wheels()))

    def test_a_wheel_of_python_alone_is_none(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, file in (("frozen_list-1.0", "frozen_list/__init__.py"), ("polars-2.1.0", "polars/so.py"),
                               ("polars_runtime_32-2.1.0", "_polars_runtime/_polars_runtime.abi3.so"),
                               ("numpy-2.0", "numpy.libs/libgfortran-040039e1.so.5.0.0")):
                record = Path(folder) / f"{name}.dist-info" / "RECORD"
                record.parent.mkdir()
                record.write_text(f"{file},sha256=0,1\n")
            told = {project: install.has_native_code(project, folder) for project in ("frozen_list", "polars", "numpy", "other")}
        self.assertEqual(told, {"frozen_list": False, "polars": True, "numpy": True, "other": False})

    def test_why_there_is_no_wheel(self):
        self.assertEqual(install.reason("ERROR: Could not find a version\nERROR: No matching distribution found for duckdb==2.0.1\n"),
                         "no wheel of duckdb==2.0.1 for this version")
        self.assertEqual(install.reason("ERROR: Could not install https://host/x in /root/y now\n"), "Could not install … in … now")
        self.assertEqual(install.reason(""), "pip has failed without a word")


class Table(unittest.TestCase):
    def file(self, **facts):
        return {"name": "_x.cpython-313-x86_64-linux-gnu.so", "code": 100_000, "described_share": 0.99, "symbols": "own",
                "unwind_tables": "searchable", "bytes": {"kept": 1, "omitted": 3}, **facts}

    def measurement(self, *files, gaps=()):
        return {"project": "x", "version": "1", "minor": 13, "fpprof": "fpprof 1", "pins": ["x==1"], "figures": {
            "stacks": 3_000, "complete": 2_999, "counted": 3_000, "named_leaves": 1_500, "through_site": 3_000, "site_frames": 10,
            "described_site_frames": 10, "gaps": list(gaps), "files": list(files)}}

    def test_nothing_less_than_all_is_100(self):
        self.assertEqual([table.percent(*share) for share in ((3, 3), (29_999, 30_000), (995, 1_000), (1, 2), (1, 30), (0, 0))],
                         ["100", "99.99", "99.50", "50", "3.3", "–"])

    def test_a_row_says_what_was_measured_and_what_was_not_why(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, kept in (("x-3.13", self.measurement(self.file())), ("x-3.15", {
                    "project": "x", "version": "1", "minor": 15, "fpprof": "fpprof 1", "pins": ["x==1"], "not_installed": "no wheel"}),
                    ("x-3.14", {**self.measurement(self.file()), "pins": ["x==0"]})):
                (Path(folder) / f"{name}.json").write_text(json.dumps(kept))
            words = table.markdown(Path(folder), list(install.wheels("# words\n\nx==1\n")))
        self.assertIn("| x 1 | 3.13 | 3,000 | 99.97 | 50 | 100 | 100 | 99.00 | 25 | own | – |", words)
        self.assertIn("| x 1 | 3.15 | no wheel |", words)
        self.assertNotIn("| 3.14 |", words)

    def test_what_is_weak(self):
        gap = {"reason": "no_unwind_rule", "place": "_x.cpython-313-x86_64-linux-gnu.so+0x12 f(a|b)", "stacks": 4}
        bare, stripped = self.file(described_share=0.3), self.file(symbols="exports")
        words = "; ".join(weak.links(self.measurement(bare, stripped, gaps=[gap])))
        for part in ("4 break off at `_x+0x12` (f(a/b)): no way out found", "70 % of _x without tables (rebuild", "_x: names of exports only"):
            self.assertIn(part, words)
        self.assertEqual(list(weak.links(self.measurement(self.file()))), [])


if __name__ == "__main__":
    unittest.main()
