"""What is weak in a wheel, why, and what helps.

Does: judge a measurement, in words. Does not: measure.
"""

# What is said of a gap, by its id in recordings.
GAPS = {"UnmappedCode": "code in no known mapping", "NoUnwindRule": "no way out found", "UnknownRegister": "a register is not known",
        "BrokenStack": "the walk left the stack", "TooDeep": "too many frames", "PythonChain": "the interpreter's frames end early",
        "Unplaced": "Python frames without a place", "EvalLoop": "an eval loop without its frames", "UnreadableCode": "a code object that cannot be read"}
# Fewer bytes of code without tables are not worth a word.
LITTLE_CODE = 4_096


def symbols(files):
    """Where names of the code are from: the kind that most code has, and the share of that."""
    shares = {}
    for file in files:
        shares[file["symbols"]] = shares.get(file["symbols"], 0) + file["code"]
    if not shares:
        return "–"
    kind = max(shares, key=shares.get)
    share = round(100 * shares[kind] / max(1, sum(shares.values())))
    return kind if len(shares) == 1 else f"{kind} {share} %"


def links(measurement):
    """The weak links, the weakest first."""
    figures = measurement["figures"]
    for gap in figures["gaps"][:2]:
        yield f"{gap['stacks']} break off at {_place(gap['place'])}: {GAPS.get(gap['reason'], gap['reason'])}"
    bare = [file for file in figures["files"] if file["code"] * (1 - (file["described_share"] or 0)) > LITTLE_CODE
            and (file["described_share"] or 0) < 0.9]
    for file in sorted(bare, key=lambda file: file["code"] * ((file["described_share"] or 0) - 1))[:2]:
        yield f"{100 * (1 - (file['described_share'] or 0)):.0f} % of {short(file['name'])} without tables (assembly): its source needs .cfi directives"
    stripped = [file for file in figures["files"] if file["symbols"] in ("exports", "none")]
    code = sum(file["code"] for file in figures["files"])
    if sum(file["code"] for file in stripped) > code / 10:
        names = sorted(stripped, key=lambda file: -file["code"])
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{short(names[0]['name'])}{more} stripped: names of exports only; build without -s"


def short(name):
    """A file's name without what pip and auditwheel have put into it."""
    return name.split(".cpython-")[0].split(".abi3")[0]


def _place(words):
    module, _, function = words.partition(" ")
    name, _, address = module.partition("+")
    return f"`{short(name)}+{address}`" + (f" ({function[:60].replace('|', '/')})" if function else "") if address else words
