"""HTTP to upstreams: one request, never repeated, and what may be concluded from how it ended.

This is the only client of upstreams. It follows no redirect, keeps no cookie, takes no proxy from
the environment and reads no more of an answer than its purpose allows.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
import structlog

from providers.calls import Call
from providers.destinations import guarded_sockets
from providers.errors import Ambiguous, ProviderError, Unavailable
from providers.limits import Purpose, Timeouts
from providers.secrecy import masked
from schemas.resellers import Network
from schemas.upstream import Exchange

log = structlog.get_logger()

#: How much of an answer is kept as evidence, in characters.
EVIDENCE_LENGTH = 2_048

_HEADERS = {
    "Accept": "application/json",
    # Some panels' firewalls turn away what names a library.
    "User-Agent": "Mozilla/5.0 (compatible; smm-gateway/1.0)",
}

#: What the client raises before the first byte of a request is written. Everything else, known
#: or not, may have happened after the upstream took the order.
_BEFORE_SENDING = (
    aiohttp.ClientConnectorError,  # refused, unknown host, TLS, certificate
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer. The account's key is masked in ``text``, wherever it was echoed."""

    exchange: Exchange
    status: int
    text: str = field(repr=False)
    location: str = ""
    date: str = ""  # when the other side says that it was sent


class _TooLarge(Exception):
    """The answer is larger than its purpose allows."""


class _Broken(aiohttp.ClientError):
    """A connection broke. Under this name the client does not send the request again."""

    def __init__(self, cause: aiohttp.ClientError) -> None:
        super().__init__()
        self.cause = cause


@dataclass(slots=True)
class Meter:
    """How many requests were made."""

    requests: int = 0


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Count the requests that are made within, so that a budget pays for what it was spent on."""
    token = _METER.set(meter := Meter())
    try:
        yield meter
    finally:
        _METER.reset(token)


@dataclass(slots=True)
class _Witness:
    """What was seen of one request, also when it ended in an exception."""

    started: float = field(default_factory=time.monotonic)
    headers_sent: bool = False
    status: int | None = None
    location: str = ""
    date: str = ""
    retry_after: int | None = None
    kept: bytearray = field(default_factory=bytearray)


def proves_not_sent(error: BaseException, headers_sent: bool) -> bool:
    """Whether no byte of a request that ended in ``error`` left.

    Two witnesses must agree: the class of the error, and the hook that the client calls before
    it writes the request's headers.
    """
    return isinstance(error, _BEFORE_SENDING) and not headers_sent


def _read_retry_after(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else None


def _description(error: BaseException) -> str:
    """The error in words, without what the client prints of the request."""
    name = type(error).__name__
    match error:
        case _TooLarge():
            return "the answer is too large"
        case aiohttp.ClientConnectorError():
            return f"{name}: {error.os_error}"
        case aiohttp.ClientResponseError() | aiohttp.ServerDisconnectedError():
            return f"{name}: {str(error.message)[:200]}"
        case OSError() if error.strerror:
            return f"{name}: {error.strerror}"
    return name


class Transport:
    """The sessions to all upstreams. Use it as an async context manager, once per process."""

    def __init__(
        self, timeouts: Timeouts | None = None, private: Iterable[Network] | None = None
    ) -> None:
        """``private`` are the networks that are allowed beside public addresses; None is all."""
        self._timeouts = timeouts or Timeouts()
        self._sockets = None if private is None else guarded_sockets(private)
        self._stack = AsyncExitStack()
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No limit over all upstreams together: one that hangs would keep the others waiting.
        self._kept = await self._open_session(
            aiohttp.TCPConnector(limit=0, socket_factory=self._sockets)
        )
        # A connection that an upstream is about to close would turn an order into a doubt.
        self._fresh = await self._open_session(
            aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=self._sockets)
        )
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        self._kept = self._fresh = None

    @property
    def timeouts(self) -> Timeouts:
        """How long requests may take that have no timeouts of their own."""
        return self._timeouts

    async def send(self, call: Call, purpose: Purpose, secret: str) -> Answer:
        """Make one request, once, and give back whatever answer comes.

        Every complete answer is returned, whatever its status. ``secret`` is the account's key:
        it appears in nothing that is returned or raised. A cancellation propagates.

        Raises:
            Unavailable: when nothing was sent, or when a request that only reads got no answer.
            Ambiguous: when a request for ``Purpose.ADD`` got no complete answer.
            RuntimeError: when the transport is not open.
        """
        session = self._fresh if purpose.acts else self._kept
        if session is None:
            raise RuntimeError("the transport is not open")
        if meter := _METER.get():
            meter.requests += 1
        witness = _Witness()
        try:
            await self._exchange(session, call, purpose, witness)
        except Exception as error:  # noqa: BLE001 - whatever it is, an order may exist
            cause = error.cause if isinstance(error, _Broken) else error
            failure = _failure_of(cause, witness, purpose, secret)
            log.debug("upstream.failed", purpose=purpose.name, reason=str(failure))
            raise failure from None
        log.debug("upstream.answered", purpose=purpose.name, status=witness.status)
        text = masked(witness.kept.decode("utf-8", "replace"), secret)
        return Answer(
            exchange=_exchange_of(witness, text, sent=True),
            status=witness.status or 0,
            text=text,
            location=masked(witness.location, secret),
            date=witness.date,
        )

    async def _open_session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_headers_sent)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            trust_env=False,
            middlewares=(_only_once,),
            trace_configs=[trace],
        )
        return await self._stack.enter_async_context(session)

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        call: Call,
        purpose: Purpose,
        witness: _Witness,
    ) -> None:
        async with session.request(
            call.method,
            call.target,
            data=call.body,
            headers=call.all_headers,
            allow_redirects=False,
            timeout=_timeout_of(purpose, call.timeouts or self._timeouts),
            trace_request_ctx=witness,
        ) as response:
            witness.status = response.status
            witness.location = response.headers.get("Location", "")[:500]
            witness.date = response.headers.get("Date", "")[:100]
            witness.retry_after = _read_retry_after(response.headers.get("Retry-After"))
            async for chunk in response.content.iter_any():
                witness.kept += chunk
                if len(witness.kept) > purpose.largest_answer:
                    response.close()
                    raise _TooLarge


def _timeout_of(purpose: Purpose, timeouts: Timeouts) -> aiohttp.ClientTimeout:
    if purpose.acts:
        total = timeouts.add
    else:
        total = timeouts.services if purpose is Purpose.SERVICES else timeouts.read
    return aiohttp.ClientTimeout(total=total, connect=timeouts.connect)


async def _only_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The client repeats a GET whose connection broke by itself, and an order would be two."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken(error) from error


async def _note_headers_sent(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    context.trace_request_ctx.headers_sent = True


def _failure_of(
    error: Exception, witness: _Witness, purpose: Purpose, secret: str
) -> ProviderError:
    sent = not proves_not_sent(error, witness.headers_sent)
    kept = bytes(witness.kept[: purpose.largest_answer])
    text = masked(kept.decode("utf-8", "replace"), secret)
    exchange = _exchange_of(witness, text, sent=sent)
    message = masked(_description(error), secret)
    if not sent:
        return Unavailable(f"not sent: {message}", exchange)
    if purpose is Purpose.ADD:
        return Ambiguous(f"no complete answer: {message}", exchange)
    return Unavailable(f"no complete answer: {message}", exchange)


def _exchange_of(witness: _Witness, text: str, *, sent: bool) -> Exchange:
    return Exchange(
        sent=sent,
        elapsed_ms=round((time.monotonic() - witness.started) * 1000),
        status=witness.status,
        body=text[:EVIDENCE_LENGTH].replace("\0", "\ufffd"),
        retry_after=witness.retry_after,
    )
