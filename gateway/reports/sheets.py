"""CSV that spreadsheets open without running anything: RFC 4180, and no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

#: A spreadsheet takes a cell that begins so for a formula, or strips what hides one.
_FORMULA = ("=", "+", "-", "@", "\t", "\0", "\r", "\n")


def safe_cell(value: object) -> str:
    """A value as a cell's text; a text that could be a formula gets a quote in front.

    A number stays the number that it is, also below 0.
    """
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, str) and text.startswith(_FORMULA):
        return f"'{text}"
    return text


def sheet(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV, with its heads."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([safe_cell(head) for head in heads])
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return out.getvalue()
