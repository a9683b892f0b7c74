"""An answer of which we want to know whether it reached its client."""

import asyncio
import select
from collections.abc import Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

#: A slow client gets so long to take its answer in.
_LOOKS, _LOOK_SECONDS = 40, 0.05
_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class ReceiptResponse(web.Response):
    """Tells ``settle``, once, whether the answer was written out in full to an open connection."""

    def __init__(
        self, body: bytes, headers: CIMultiDict[str], settle: Callable[[bool], None]
    ) -> None:
        super().__init__(body=body, headers=headers)
        self._settle = settle
        self._transport: asyncio.Transport | None = None

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """As every answer does."""
        self._transport = request.transport
        try:
            return await super().prepare(request)
        except BaseException:
            self._settle(False)
            raise

    async def write_eof(self, data: bytes = b"") -> None:
        """As every answer does; whether it has left the process is looked at later."""
        there = _is_open(self._transport)
        try:
            await super().write_eof(data)
        except BaseException:
            self._settle(False)
            raise
        if there:
            # The loop may write at the end of this turn.
            asyncio.get_running_loop().call_soon(self._look, _LOOKS)
        else:
            self._settle(False)

    def _look(self, looks: int) -> None:
        assert self._transport is not None
        if self._transport.get_write_buffer_size() == 0:
            # A client that has closed meanwhile has read it before.
            self._settle(True)
        elif looks:
            loop = asyncio.get_running_loop()
            loop.call_later(_LOOK_SECONDS, self._look, looks - 1)
        else:
            self._settle(False)


def _is_open(transport: asyncio.Transport | None) -> bool:
    """Whether the client is still there; asked of the kernel, because the loop learns it late."""
    if transport is None or transport.is_closing():
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), _GONE)
    return not poll.poll(0)
