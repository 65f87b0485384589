"""What is weak in a wheel, why, and what helps.

Does: judge a measurement, in words. Does not: measure.
"""

# What is said of a gap, by its id in recordings (docs/recording-format.md).
GAPS = {
    "broken_stack": "the walk left the stack",
    "eval_loop": "an eval loop whose Python frames could not be had",
    "no_unwind_rule": "no way out found",
    "too_deep": "too many frames",
    "unknown_register": "a register that is not known there",
    "unmapped_code": "what is there is no return address",
    "unplaced": "Python frames without a native one",
}
# Less code without tables, in bytes, is not worth a word (`fpprof doctor` says the same).
LITTLE_CODE = 4_096
# From this share on, tables describe a file's code.
DESCRIBED = 0.9


def symbols(files):
    """Where names of the code are from: the kind that most code has, and the share of that."""
    shares = {}
    for file in files:
        shares[file["symbols"]] = shares.get(file["symbols"], 0) + file["code"]
    if not shares:
        return "–"
    kind = max(shares, key=shares.get)
    return kind if len(shares) == 1 else f"{kind} {round(100 * shares[kind] / max(1, sum(shares.values())))} %"


def links(measurement):
    """The weak links, the weakest first."""
    figures = measurement["figures"]
    yield from (_gap(gap) for gap in figures["gaps"][:2])
    bare = [file for file in figures["files"] if _described(file) < DESCRIBED and _without_tables(file) > LITTLE_CODE]
    yield from (_bare(file) for file in sorted(bare, key=_without_tables, reverse=True)[:2])
    stripped = sorted((file for file in figures["files"] if file["symbols"] in ("exports", "none")), key=lambda file: -file["code"])
    if sum(file["code"] for file in stripped) > sum(file["code"] for file in figures["files"]) / 10:
        more = f" and {len(stripped) - 1} more" if len(stripped) > 1 else ""
        yield f"{short(stripped[0]['name'])}{more}: names of exports only, stripped"


def short(name):
    """A file's name without what pip and auditwheel have put into it."""
    return name.split(".cpython-")[0].split(".abi3")[0]


def _described(file):
    return file["described_share"] or 0


def _without_tables(file):
    return file["code"] * (1 - _described(file))


def _bare(file):
    # Assembly is a part of a file; compilers that were told to leave the tables out have made nearly all of one.
    helps = "assembly, mostly: `.cfi` directives" if _described(file) > 0.5 else "rebuild with `-fasynchronous-unwind-tables`"
    return f"{100 * (1 - _described(file)):.0f} % of {short(file['name'])} without tables ({helps})"


def _gap(gap):
    module, _, function = gap["place"].partition(" ")
    name, _, address = module.partition("+")
    place = f"`{short(name)}+{address}`" if address else gap["place"]
    if address and function:
        place += f" ({function[:60].replace('|', '/')})"
    return f"{gap['stacks']:,} break off at {place}: {GAPS.get(gap['reason'], gap['reason'])}"
