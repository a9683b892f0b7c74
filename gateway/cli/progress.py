"""A progress bar on a terminal; nothing where output goes elsewhere."""

import sys
from types import TracebackType
from typing import Self

_WIDTH = 30


class ProgressBar:
    """Shows on standard error how much of some work is done; ``with``."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            print(file=sys.stderr)

    def tell(self, done: int, total: int | None = None) -> None:
        """So much is done by now."""
        if self._shown:
            print(f"\r{bar(self._what, done, total or self._total)}", end="", file=sys.stderr)


def bar(what: str, done: int, total: int | None) -> str:
    """One line: the work, a bar where the end is known, and how much is done."""
    if not total:
        return f"{what} {done}"
    full = min(_WIDTH, _WIDTH * done // total)
    return f"{what} [{'#' * full}{'.' * (_WIDTH - full)}] {done} of {total}"
