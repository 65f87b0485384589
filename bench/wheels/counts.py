"""Counts what a recording holds (docs/recording-format.md).

Does: read the file's records, and count stacks and frames by what they are. Does not: judge, or look at the target.
"""

import gzip
import json
import re
from collections import Counter
from pathlib import Path

# A function without a name is shown by its module and address.
UNNAMED = re.compile(r"\+0x[0-9a-f]+$")
# How many of the places where stacks break off are kept.
PLACES = 5


class Program:
    """What the records have said of one program so far."""

    def __init__(self):
        self.modules, self.frames, self.names, self.stacks, self.samples = [], [], {}, [(None, None)], Counter()

    def name(self, number):
        """A frame's innermost name, or None where its function has none."""
        if "python" in self.frames[number]:
            return "python"
        named = self.names.get(number)
        name = named["frames"][-1]["name"] if named else None
        return None if name is None or UNNAMED.search(name) else name

    def place(self, number):
        """A native frame's address in its file, and the function's name: for who wants to look there."""
        if number is None:
            return "the innermost frame"
        (kind, value), = self.frames[number].items()
        if kind in ("native", "evaluation"):
            module, address = Path(self.modules[value[0]]["path"]).name, value[1]
            return f"{module}+{address:#x} {self.name(number) or ''}".strip()
        return kind


def of(file, site):
    """The figures of a recording; `site` is the folder of the measured wheels."""
    programs, facts = _read(file)
    total = Counter()
    places = Counter()
    inside = Counter()
    for program in programs.values():
        _count(program, site, total, places, inside)
    return {
        "stacks": facts["stacks"], "complete": facts["stacks_complete"], "counted": total["stacks"], "named_leaves": total["named"],
        "through_site": total["site"], "native_frames": total["native"], "described_frames": total["described"],
        "site_frames": total["site native"], "described_site_frames": total["site described"],
        "gaps": [{"reason": reason, "place": place, "stacks": count} for (reason, place), count in places.most_common(PLACES)],
        "leaf_modules": [{"module": module, "stacks": count} for module, count in inside.most_common(PLACES)],
        "late": facts["samples_late"], "failed": facts["samples_failed"], "wanted": facts["samples_wanted"],
        "taken": facts["samples_taken"],
    }


def _read(file):
    programs, facts = {}, None
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            (record, value), = json.loads(line).items()
            if record == "facts":
                facts = value
            elif isinstance(value, dict) and "program" in value:
                _keep(programs.setdefault(value["program"], Program()), record, value)
    return programs, facts


def _keep(program, record, value):
    if record in ("modules", "frames"):
        getattr(program, record).extend(value["list"])
    elif record == "stacks":
        program.stacks.extend(zip(value["caller"], value["frame"]))
    elif record == "names":
        program.names.update({number: named for number, named in enumerate(value["names"], value["first"]) if named})
    elif record == "samples":
        # What stands for time without a sample has no weight.
        program.samples.update(stack for stack, weight in zip(value["stack"], value["weight"]) if weight)


def _count(program, site, total, places, inside):
    """Counts each stack from the outermost frame inwards: a stack is its caller's, and one frame more."""
    is_site = [module["path"].startswith(site + "/") for module in program.modules]
    # Of each stack: its native frames, those of them that tables describe, both for the wheel's own, and its innermost gap.
    of_stack = [((0, 0, 0, 0), None)]
    for caller, frame in program.stacks[1:]:
        (native, described, own, own_described), gap = of_stack[caller]
        (kind, value), = program.frames[frame].items()
        if kind in ("native", "evaluation"):
            has_rule, is_own = value[2] is not None, is_site[value[0]]
            native, described = native + 1, described + has_rule
            own, own_described = own + is_own, own_described + (is_own and has_rule)
        if kind == "missing":
            gap = (value, None)
        elif gap and gap[1] is None:
            gap = (gap[0], frame)
        of_stack.append(((native, described, own, own_described), gap))
    for stack, count in program.samples.items():
        if stack == 0:
            continue
        (native, described, own, own_described), gap = of_stack[stack]
        frame = program.stacks[stack][1]
        total.update({"stacks": count, "named": count * (program.name(frame) is not None), "site": count * (own > 0),
                      "native": count * native, "described": count * described, "site native": count * own,
                      "site described": count * own_described})
        if gap:
            places[gap[0], program.place(gap[1])] += count
        inside[_module(program, frame)] += count


def _module(program, frame):
    (kind, value), = program.frames[frame].items()
    return Path(program.modules[value[0]]["path"]).name if kind in ("native", "evaluation") else kind
