"""Logs: one JSON object a line, or coloured lines on a terminal; secrets are masked here.

Events are constant dotted names. Masking happens at the logger, so that no call site can forget
it: by field name, and by the shape of our own keys inside any text.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from schemas.config import LogFormat

_SECRET_NAMES = frozenset(
    {"key", "api_key", "apikey", "password", "pepper", "authorization", "cookie", "token", "secret"}
)
_KEY_SHAPE = re.compile(r"smm_[0-9A-Za-z]{8,}")
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")
_FORM_KEY = re.compile(r"(?i)\b((?:api_?)?key|api_token|token|password)=[^&\s\"']+")
MASK = "***"


def mask(text: str) -> str:
    """The text without what looks like a secret."""
    # The plain searches come first because nearly every text is harmless.
    if "smm_" in text:
        text = _KEY_SHAPE.sub("smm_" + MASK, text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1{MASK}@", text)
    if "=" in text:
        text = _FORM_KEY.sub(rf"\1={MASK}", text)
    return text


def mask_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The processor that every line passes."""
    for name, value in event.items():
        event[name] = MASK if name.lower() in _SECRET_NAMES else _masked(value)
    return event


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {
            k: MASK if str(k).lower() in _SECRET_NAMES else _masked(v) for k, v in value.items()
        }
    if isinstance(value, list | tuple) and not all(isinstance(v, int) for v in value):
        return [_masked(v) for v in value]
    return value


def configure_logging(level: str, form: LogFormat) -> None:
    """Send everything to standard error, ours and the libraries' warnings, through one masker."""
    human = form is LogFormat.TEXT or (form is LogFormat.AUTO and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
