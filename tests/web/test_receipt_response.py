"""Whether a client is still there, asked of the kernel."""

import asyncio
from typing import cast

from gateway.web.receipt_response import _is_open
from tests.conftest import eventually


async def test_a_client_that_has_gone_is_noticed_before_the_loop_learns_of_it() -> None:
    arrived: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _, w: arrived.set_result(w), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, client = await asyncio.open_connection("127.0.0.1", port)
        transport = cast(asyncio.Transport, (await arrived).transport)
        # What comes stays with the kernel: the loop does not hear of the end.
        transport.pause_reading()
        assert _is_open(transport)
        client.close()

        async def gone() -> bool:
            return not _is_open(transport)

        await eventually(gone, seconds=5)
        assert not transport.is_closing()
        transport.close()
    assert not _is_open(transport)
