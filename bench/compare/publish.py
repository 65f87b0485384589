"""Puts the tables of a run into a document.

Does: replace what stands between two marking lines. Does not: touch the rest of the document.
"""

from pathlib import Path

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def check(document):
    """Raises ValueError when the document does not have each mark once, in this order."""
    text = Path(document).read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{document} has not the lines {BEGIN} and {END}, once each, in this order")
    return text


def into(document, markdown):
    """Replaces what stands between the marks; raises ValueError as `check` does."""
    before, rest = check(document).split(BEGIN)
    Path(document).write_text(f"{before}{BEGIN}\n{markdown.strip()}\n{END}{rest.split(END)[1]}")
