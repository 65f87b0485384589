"""Tests of what `compare` computes: `python3 -m unittest discover bench/compare`. They run no profiler."""

import json
import tempfile
import types
import unittest
from pathlib import Path

import aims
import publish
import scheduler_trace
from spread import middle_half, percentile
from tables import Measured, Missing, Table, number

SWITCH = "  python-7  [001] d..2.  {at}: sched_switch: prev_comm={out} prev_pid={pid} prev_prio=120 prev_state={state} ==> " \
         "next_comm={into} next_pid={next} next_prio=120"


def out(at, state):
    return SWITCH.format(at=at, out="python x", pid=7, state=state, into="swapper/1", next=0)


def into(at):
    return SWITCH.format(at=at, out="swapper/1", pid=0, state="R", into="python x", next=7)


class Stops(unittest.TestCase):
    def test_a_stop_is_from_traced_to_running_again(self):
        text = "\n".join(["# tracer: nop", out("12.000100", "t"), into("12.000125"), out("12.999990", "T"), into("13.000010")])
        self.assertEqual(list(scheduler_trace.stops(text, 7)), [(12_000_100, 25), (12_999_990, 20)])

    def test_waiting_and_being_preempted_are_no_stops(self):
        text = "\n".join([into("1.000000"), out("1.000001", "S"), into("1.000009"), out("1.000010", "R+"), into("1.000020"),
                          out("1.000030", "t")])
        self.assertEqual(list(scheduler_trace.stops(text, 7)), [])

    def test_a_stop_whose_end_is_not_told_is_told_of(self):
        text = "\n".join([out("1.000100", "t"), out("1.000200", "t"), into("1.000230"), out("1.000300", "t"), out("1.000400", "R")])
        self.assertEqual(list(scheduler_trace.stops(text, 7)), [(1_000_100, None), (1_000_200, 30), (1_000_300, None)])


class Numbers(unittest.TestCase):
    def test_spreads(self):
        self.assertEqual(middle_half([4, 1, 3, 2]), (2, 4))
        self.assertIsNone(percentile([], 0.5))

    def test_three_digits(self):
        self.assertEqual([number(value) for value in (12345, 0.0512, 7.0, 1234.5, -0.0)],
                         ["12,345", "0.0512", "7.00", "1,234", "0"])


class Tables(unittest.TestCase):
    def table(self):
        table = Table("cost", "Cost", "the kernel", ["CPU at 1000 Hz, s per 10 s"])
        table.add("fpprof", "3.13", [Measured(0.15, 0.1, 0.25)])
        table.add("py-spy --native", "3.13", [3.0])
        table.add("austin", "3.13", [Missing("it died of signal 11")])
        return table

    def test_what_is_missing_says_why(self):
        text = self.table().markdown()
        self.assertIn("| austin | 3.13 | – (1) |", text)
        self.assertIn("1. it died of signal 11", text)
        self.assertIn("0.150 (0.100 to 0.250)", text)
        self.assertEqual(json.loads(json.dumps(self.table().json()))["rows"][2]["CPU at 1000 Hz, s per 10 s"],
                         {"missing": "it died of signal 11"})

    def test_aims_are_held_against_figures_only(self):
        interpreter = types.SimpleNamespace(name="3.13")
        rows = {name: cells for name, _, cells in aims.table([self.table()], [interpreter]).rows}
        self.assertEqual(rows["CPU at 1000 Hz, s per 10 s"], ["≤ 0.2 s", 0.15, "yes"])
        self.assertEqual(rows["… times less than py-spy --native's"][2], "yes")
        self.assertNotIn("… times less than austin's", rows)
        self.assertNotIn("attach to first sample", rows)


class Publishing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.document = Path(folder.name) / "page.md"

    def page(self, figures, aims_):
        marked = {part: "\n".join([publish.marks(part)[0], *words, publish.marks(part)[1]])
                  for part, words in (("figures", figures), ("aims", aims_))}
        return f"# Page\n\n{marked['figures']}\n\nwords between\n\n{marked['aims']}\n"

    def test_each_part_takes_its_place(self):
        self.document.write_text(self.page(["old"], ["old", "aims"]))
        publish.into(self.document, figures="| a |\n", aims="")
        self.assertEqual(self.document.read_text(), self.page(["| a |"], [""]))

    def test_a_page_without_a_place_for_a_part_stays_as_it_is(self):
        for page in ("", self.page([], []).replace(publish.marks("aims")[1], ""), self.page([], []) * 2):
            self.document.write_text(page)
            self.assertRaises(ValueError, publish.into, self.document, figures="x", aims="y")
            self.assertEqual(self.document.read_text(), page)


if __name__ == "__main__":
    unittest.main()
