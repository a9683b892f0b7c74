"""Requests that the server's parser must refuse or survive, as bytes on a socket."""

import asyncio
from urllib.parse import urlsplit

import pytest
from aiohttp import http_parser

from tests.conftest import OpenGateway
from tests.world import World

_BODY = b"key=KEY&action=balance"
_LENGTH = b"Content-Length: %d\r\n" % len(_BODY)
_FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
_POST = b"POST /api/v2 HTTP/1.1\r\n"
_HOST = b"Host: gateway\r\n"

_AMBIGUOUS = {
    "length and chunks": _POST
    + _HOST
    + _LENGTH
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two lengths": _POST + _HOST + _LENGTH + b"Content-Length: 1\r\n\r\n" + _BODY,
    "two hosts": _POST + _HOST + _HOST + _FORM + _LENGTH + b"\r\n" + _BODY,
    "bare line feed": _POST.replace(b"\r\n", b"\n") + _HOST + b"\n\n",
    "folded header": _POST + _HOST + b"X: a\r\n b\r\n\r\n",
    "signed length": _POST + _HOST + b"Content-Length: +5\r\n\r\nkey=x",
    "space before colon": _POST + _HOST + b"Content-Length : 5\r\n\r\nkey=x",
    "unknown coding": _POST + _HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bad chunk": _POST + _HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
    "large header": _POST + _HOST + b"X: " + b"x" * 9_000 + b"\r\n\r\n",
}


async def _ask(url: str, request: bytes) -> bytes:
    """All that comes back until the connection ends."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            return await reader.read(1_000_000)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_the_compiled_parser_is_at_work() -> None:
    assert http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


async def test_what_two_parsers_could_read_differently_is_refused_and_the_connection_closed(
    world: World, open_gateway: OpenGateway
) -> None:
    customer = await world.reseller()
    async with open_gateway() as gateway:
        for name, request in _AMBIGUOUS.items():
            answer = await _ask(gateway.api_url, request.replace(b"KEY", customer.key.encode()))
            head = answer.partition(b"\r\n")[0]
            assert b" 400 " in head, (name, answer[:200])
            assert b"HTTP/1.1 200" not in answer, name
            assert b"balance" not in answer, name


@pytest.mark.parametrize("sort", ["chunks", "trailers", "fields"])
async def test_endless_chunks_trailers_and_fields_are_answered_and_forgotten(
    world: World, open_gateway: OpenGateway, sort: str
) -> None:
    customer = await world.reseller()
    chunked = _POST + _HOST + _FORM + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    fields = b"&".join(b"x%d=1" % number for number in range(5_000))
    request = {
        "chunks": chunked + b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n",
        "trailers": chunked
        + b"0\r\n"
        + b"".join(b"X-%d: y\r\n" % number for number in range(10_000))
        + b"\r\n",
        "fields": _POST
        + _HOST
        + _FORM
        + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(fields)
        + fields,
    }[sort]
    async with open_gateway() as gateway:
        answer = await _ask(gateway.api_url, request)
        assert not answer or answer.split()[1] in (b"200", b"400", b"413"), answer[:200]
        good = b"key=%s&action=balance" % customer.key.encode()
        head = _POST + _HOST + _FORM + b"Connection: close\r\nContent-Length: %d\r\n\r\n"
        assert b'"balance"' in await _ask(gateway.api_url, head % len(good) + good)
