"""The table of what is measured, as Markdown.

Does: read the files of measurements, and put each into a row; say what could not be had, and why. Does not: measure.
"""

import json

import weak

COLUMNS = ("wheel", "CPython", "stacks", "complete, %", "named, %", "in it, %", "its frames by tables, %", "tables, %", "frame pointers, %",
           "symbols", "what is weak")


def markdown(results, wheels):
    """All rows; those of wheels that are not in the pins any more are left out."""
    kept = [measurement for wheel in wheels for measurement in _of(results, wheel)]
    rows = [_row(measurement) for measurement in kept if "figures" in measurement]
    lines = [_about(kept), "", "| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * 7 + "---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *_missing(kept)]).rstrip() + "\n"


def _of(results, wheel):
    """What is measured of a wheel with the pinned versions."""
    for minor in (13, 14, 15):
        try:
            measurement = json.loads((results / f"{wheel.project}-3.{minor}.json").read_text())
        except (OSError, ValueError):
            continue
        if measurement["pins"] == wheel.pins:
            yield measurement


def _about(kept):
    figures = [measurement["figures"] for measurement in kept if "figures" in measurement]
    stacks, complete = (sum(figure[name] for figure in figures) for name in ("stacks", "complete"))
    by = ", ".join(sorted({measurement["fpprof"] for measurement in kept}))
    each = ", ".join(f"{sum(m['minor'] == minor and 'figures' in m for m in kept)} on CPython 3.{minor}" for minor in (13, 14, 15))
    whole = sum(figure["complete"] == figure["stacks"] for figure in figures)
    return f"{len(figures)} measurements ({each}) by {by}: {complete:,} complete stacks of {stacks:,} ({percent(complete, stacks)} %); " \
           f"all of them in {whole} measurements."


def _row(measurement):
    figures, files = measurement["figures"], measurement["figures"]["files"]
    code = sum(file["code"] for file in files)
    described = sum(file["code"] * (file["described_share"] or 0) for file in files)
    kept, omitted = (sum(file["bytes"][name] for file in files) for name in ("kept", "omitted"))
    return [
        f"{measurement['project']} {measurement['version']}", f"3.{measurement['minor']}", f"{figures['stacks']:,}",
        percent(figures["complete"], figures["stacks"]), percent(figures["named_leaves"], figures["counted"]),
        percent(figures["through_site"], figures["counted"]), percent(figures["described_site_frames"], figures["site_frames"]),
        percent(described, code), percent(kept, kept + omitted), weak.symbols(files), "; ".join(weak.links(measurement)) or "–",
    ]


def percent(part, whole):
    """A share with as many digits as tell it from all: 100 is all of it, and nothing less."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if part == whole:
        return "100"
    return f"{min(share, 99.99):.2f}" if share >= 99 else f"{share:.1f}" if share < 10 else f"{share:.0f}"


def _missing(kept):
    reasons = [(f"{m['project']} {m['version']}", m["minor"], m.get("not_installed") or m.get("not_measured")) for m in kept
               if "figures" not in m]
    if not reasons:
        return []
    lines = ["| not measured | CPython | why |", "|---|---|---|"]
    return lines + [f"| {project} | 3.{minor} | {reason.replace('|', '/')} |" for project, minor, reason in reasons]
