"""Requests that are no HTTP: a short answer in JSON, and a line that repeats nothing of them.

What aiohttp does by itself sends the bytes back and logs them with a traceback: a header may hold
a key (``reliability`` G32-G34).
"""

import asyncio
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import _ErrInfo

from schemas.panel_v2 import INCORRECT_REQUEST, error_answer

log = structlog.get_logger()


class _Connection(web.RequestHandler):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """As ever; who reads a body that turns malformed is told, which aiohttp leaves out."""
        super().data_received(data)
        request = self._current_request
        broken = bool(self._messages) and isinstance(self._messages[-1][0], _ErrInfo)
        if broken and request is not None and not request.content.is_eof():
            # Without aiohttp's words, which repeat what was sent.
            request.content.set_exception(web.RequestPayloadError("the body is malformed"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        # A warning, because the gate bounds those: whoever wants sends such without end.
        log.warning("request.malformed", reason=type(exc).__name__, status=status)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        answer = web.Response(body=error_answer(INCORRECT_REQUEST), status=status, headers=headers)
        answer.force_close()
        return answer


class _Server(web.Server):
    def __init__(self, made: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory, loop=loop)
        self._options: dict[str, Any] = made._kwargs

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._options)


class Runner(web.AppRunner):
    """Runs an application whose connections answer malformed requests in protocol."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:  # aiohttp has no public way in
        return _Server(await super()._make_server(), asyncio.get_running_loop())
