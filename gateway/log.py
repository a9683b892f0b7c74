"""Logs: one JSON object a line, or coloured lines on a terminal; every line passes here.

Events are constant dotted names. Secrets are taken out at the logger (``gateway.redaction``), so
that no call site can forget it. What is logged within ``about`` carries its ids. Warnings and
errors of one name come at a bounded rate, because whoever can cause them could fill a disk.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import structlog

from gateway.redaction import MASK, is_secret_name, masked
from schemas.config import LogFormat

#: So many warnings and errors of one name at once, and so many a second after them.
BURST = 500
PER_SECOND = 20
_MOST_NAMES = 1_000

#: What moves a cursor, colours, ends a line or turns the direction of writing.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LINE_BREAKS = re.compile("[\t\n]")

Event = MutableMapping[str, Any]


_ids: ContextVar[Mapping[str, object]] = ContextVar("ids", default=MappingProxyType({}))


class about:  # noqa: N801 - reads as the statement that it is
    """``with about(order_id=7):`` all that is logged within, in whatever layer, carries the ids.

    structlog's own is a generator over all variables of the context: too slow for every request.
    """

    __slots__ = ("_given", "_token")

    def __init__(self, **ids: object) -> None:
        self._given = ids

    def __enter__(self) -> None:
        self._token = _ids.set({**_ids.get(), **self._given})

    def __exit__(self, *error: object) -> None:
        _ids.reset(self._token)


def add_ids(_logger: object, _method: str, event: Event) -> Event:
    """The processor that adds the ids of what is just done; what the line says itself stands."""
    for name, value in _ids.get().items():
        event.setdefault(name, value)
    return event


def mask_secrets(_logger: object, _method: str, event: Event) -> Event:
    """The processor that takes secrets out."""
    for name, value in event.items():
        event[name] = MASK if is_secret_name(name) else masked(value)
    return event


def escape_controls(_logger: object, _method: str, event: Event) -> Event:
    """The processor that lets nobody paint on a terminal or begin a line. JSON needs none."""
    for name, value in event.items():
        if isinstance(value, str):
            escaped = _CONTROLS.sub(_escape, value)
            event[name] = escaped if name == "exception" else _LINE_BREAKS.sub(_escape, escaped)
    return event


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")


class Floodgate:
    """Lets warnings and errors of each name through at a bounded rate, and counts the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float, int]] = {}

    def let(self, name: str) -> int | None:
        """How many of that name were kept back before this one; None when this one is."""
        now = self._clock()
        if name not in self._buckets and len(self._buckets) >= _MOST_NAMES:
            self._buckets.clear()
        tokens, at, kept_back = self._buckets.get(name, (float(BURST), now, 0))
        tokens = min(float(BURST), tokens + (now - at) * PER_SECOND)
        passes = tokens >= 1
        self._buckets[name] = (tokens - passes, now, 0 if passes else kept_back + 1)
        return kept_back if passes else None

    def __call__(self, _logger: object, method: str, event: Event) -> Event:
        """The processor. Raises ``structlog.DropEvent`` for a line that is kept back."""
        if method in ("debug", "info"):
            return event
        kept_back = self.let(str(event["event"]))
        if kept_back is None:
            raise structlog.DropEvent
        if kept_back:
            event["kept_back"] = kept_back
        return event


class LibraryLines(logging.Filter):
    """What libraries log passes the same gate, and without the bytes of a request."""

    def __init__(self, gate: Floodgate) -> None:
        super().__init__()
        self._gate = gate

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is logged."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and type(error).__module__.startswith("aiohttp.http"):
            # It quotes the request, with its headers.
            record.msg, record.args = f"a request cannot be read: {type(error).__name__}", ()
            record.exc_info = record.exc_text = None
        return self._gate.let(record.name) is not None


def configure_logging(level: str, form: LogFormat) -> None:
    """Send everything to standard error, ours and the libraries' warnings, through one masker."""
    human = form is LogFormat.TEXT or (form is LogFormat.AUTO and sys.stderr.isatty())
    gate = Floodgate()
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_ids,
        structlog.processors.format_exc_info,
        mask_secrets,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[structlog.types.Processor] = (
        [escape_controls, structlog.dev.ConsoleRenderer()]
        if human
        else [structlog.processors.JSONRenderer()]
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[gate, *shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(LibraryLines(gate))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
