"""Bytes that are no sound HTTP, sent over bare sockets: a short refusal, and nothing repeated."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from yarl import URL

from gateway.embedded import Addresses
from gateway.log import BURST, PER_SECOND
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.web.desk import Desk

_SECRET = b"never-to-be-repeated"
_HEAD = b"POST /api/v2?key=%s HTTP/1.1\r\nHost: a\r\n" % _SECRET
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "G32 length and chunks": _HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "G32 two lengths": _HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + _SECRET,
    "G32 two hosts": _HEAD + b"Host: %s\r\n\r\n" % _SECRET,
    "G32 no host": b"POST /api/v2 HTTP/1.1\r\nX-API-Key: %s\r\n\r\n" % _SECRET,
    "G32 bare line feeds": b"POST /api/v2 HTTP/1.1\nHost: a\nX-API-Key: %s\n\n" % _SECRET,
    "G32 a folded header": _HEAD + b"X-A: a\r\n %s\r\n\r\n" % _SECRET,
    "G32 a length with a sign": _HEAD + b"Content-Length: +5\r\n\r\n" + _SECRET,
    "G33 a header of 9 kB": _HEAD + b"X-A: %s\r\n\r\n" % (_SECRET * 460),
    "G33 200 headers": _HEAD + b"".join(b"X-%d: %s\r\n" % (n, _SECRET) for n in range(200)),
    "G34 10,000 trailers": _CHUNKED + b"1\r\na\r\n0\r\n" + b"X-A: %s\r\n" % _SECRET * 10_000,
    "a bad chunk": _CHUNKED + _SECRET + b"\r\n",
    "a bad method": b"\x16\x03\x01" + _SECRET,
}


async def _ask(gateway: GatewayProcess, *sent: bytes) -> tuple[int, bytes]:
    """The status and body that bytes are answered with, once the gateway has closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(gateway.url).port)
    for part in sent:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        try:
            body = await reader.read()
        except ConnectionResetError:  # it closes while we still send
            body = b'{"error":"Incorrect request"}'
    writer.close()
    return int(head.split()[1]), body


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_request_is_refused_in_protocol_and_never_repeated(
    desk: Desk, name: str
) -> None:
    since = len(desk.printed())
    status, body = await _ask(desk.gateway, MALFORMED[name])
    assert (status, json.loads(body)) == (400, {"error": "Incorrect request"})

    async def told() -> bool:
        return "request.malformed" in desk.printed(since)

    await eventually(told)
    printed = desk.printed(since)
    assert _SECRET.decode() not in printed
    assert "Traceback" not in printed


async def test_a_body_that_turns_malformed_later_is_not_repeated_either(desk: Desk) -> None:
    since = len(desk.printed())
    sent = (_CHUNKED, b"1\r\na\r\n", _SECRET + b"\r\n\r\n")
    status, body = await _ask(desk.gateway, *sent)
    assert (status, json.loads(body)) in [
        (200, {"error": "Incorrect request"}),
        (400, {"error": "Incorrect request"}),
    ]
    assert _SECRET.decode() not in desk.printed(since)
    assert "Traceback" not in desk.printed(since)


async def test_a_body_of_100_000_chunks_is_read(desk: Desk) -> None:
    call = desk.fill("key=$RIVAL_KEY&action=balance&x=").ljust(100_000, "x").encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in call)
    last = _CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    status, body = await _ask(desk.gateway, last, chunks + b"0\r\n\r\n")
    assert (status, json.loads(body)["currency"]) == (200, "USD")


async def test_a_flood_of_malformed_requests_does_not_fill_the_log(
    engines: Addresses, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.log"
    async with GatewayProcess(database_url, engines.redis_url, file) as gateway:
        began = time.monotonic()
        for _ in range(2 * BURST // 50):
            request = MALFORMED["G33 a header of 9 kB"]
            answers = await asyncio.gather(*(_ask(gateway, request) for _ in range(50)))
            assert {status for status, _ in answers} == {400}
        seconds = time.monotonic() - began
        lines = gateway.log_text().count("request.malformed")
    assert BURST <= lines <= BURST + PER_SECOND * seconds + 1
