"""Puts the tables of a run into a document.

Does: replace what stands between two marking lines: the figures where the document has them, the aims where it has those.
Does not: touch the rest of the document.
"""

from pathlib import Path

PARTS = ("figures", "aims")


def marks(part):
    """The lines between which a part stands."""
    return f"<!-- {part}: begin -->", f"<!-- {part}: end -->"


def check(document, parts=PARTS):
    """Raises ValueError when the document does not have the marks of each part once, in their order."""
    text = Path(document).read_text()
    for begin, end in map(marks, parts):
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise ValueError(f"{document} has not the lines {begin} and {end}, once each, in this order")
    return text


def into(document, **parts):
    """Replaces what stands between the marks of each part by its Markdown; raises ValueError as `check` does."""
    text = check(document, parts)
    for part, markdown in parts.items():
        begin, end = marks(part)
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{markdown.strip()}\n{end}{rest.split(end)[1]}"
    Path(document).write_text(text)
