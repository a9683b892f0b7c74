"""What each way that a request can end proves, over real sockets."""

import asyncio
import gzip
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from typing import cast
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from providers.calls import Call, Encoding, Method
from providers.errors import Ambiguous, ProviderError, Unavailable
from providers.limits import Purpose, Timeouts
from providers.transport import EVIDENCE_LENGTH, Answer, Transport, metered, proves_not_sent
from tests.providers.wire import (
    KEY,
    Behaviour,
    Request,
    Upstream,
    answer_bytes,
    hangs,
    reset,
    resets,
    says,
    sends,
)

FORM = {"key": KEY, "action": "add", "service": "1", "link": "https://example.com/a?b=c&d=ü"}
ALL_PURPOSES = tuple(Purpose)


async def ask(
    transport: Transport, url: str, purpose: Purpose = Purpose.ADD, method: Method = Method.POST
) -> Answer:
    encoding = Encoding.QUERY if method is Method.GET else Encoding.FORM
    return await transport.send(Call(url, FORM, method, encoding), purpose, KEY)


async def failing(
    transport: Transport, url: str, purpose: Purpose, method: Method = Method.POST
) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(transport, url, purpose, method)
    assert KEY not in str(caught.value)
    assert caught.value.exchange is not None
    assert KEY not in repr(caught.value.exchange)
    return caught.value


async def test_a_request_is_a_form_post_with_ordinary_headers(transport: Transport) -> None:
    async with Upstream(says('{"order":1}')) as upstream:
        answer = await ask(transport, upstream.url)
    (request,) = upstream.requests
    assert request.method == "POST"
    assert request.target == "/api/v2"
    assert request.form == FORM
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"].startswith("Mozilla/5.0")
    assert "cookie" not in request.headers
    assert answer.text == '{"order":1}'
    assert answer.exchange.sent
    assert answer.exchange.status == answer.status == 200


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("purpose", [Purpose.ADD, Purpose.ACT])
async def test_what_acts_upstream_gets_a_fresh_connection(
    transport: Transport, purpose: Purpose, method: Method
) -> None:
    async with Upstream(says("{}")) as upstream:
        for _ in range(3):
            await ask(transport, upstream.url, purpose, method)
    assert upstream.connections == 3
    assert upstream.requests[0].headers["connection"] == "close"


async def test_reads_share_a_connection(transport: Transport) -> None:
    async with Upstream(says("{}")) as upstream:
        for _ in range(3):
            await ask(transport, upstream.url, Purpose.READ)
    assert upstream.connections == 1
    assert len(upstream.requests) == 3


async def test_cookies_of_one_account_do_not_reach_another(transport: Transport) -> None:
    async with Upstream(says("{}", headers={"Set-Cookie": "session=1"})) as upstream:
        url = upstream.url.replace("127.0.0.1", "localhost")  # cookies are for names only
        await ask(transport, url, Purpose.READ)
        await ask(transport, url, Purpose.READ)
    assert "cookie" not in upstream.requests[1].headers


async def test_a_proxy_in_the_environment_is_not_used(
    transport: Transport, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    async with Upstream(says("{}")) as upstream:
        assert (await ask(transport, upstream.url)).text == "{}"


@pytest.mark.parametrize("purpose", ALL_PURPOSES)
async def test_a_refused_connection_is_not_sent(
    transport: Transport, closed_port: int, purpose: Purpose
) -> None:
    error = await failing(transport, f"http://127.0.0.1:{closed_port}/api", purpose)
    assert isinstance(error, Unavailable)
    assert error.exchange is not None
    assert not error.exchange.sent
    assert error.exchange.status is None
    assert "ClientConnectorError" in str(error)


@pytest.mark.usefixtures("no_dns")
async def test_an_unknown_host_is_not_sent(transport: Transport) -> None:
    error = await failing(transport, "http://panel.example/api", Purpose.ADD)
    assert isinstance(error, Unavailable)
    assert "ClientConnectorDNSError" in str(error)


@pytest.mark.parametrize("url", ["", "panel.example", "http://", "ftp://127.0.0.1/api", "http://["])
async def test_an_address_that_is_none_is_not_sent(transport: Transport, url: str) -> None:
    error = await failing(transport, url, Purpose.ADD)
    assert isinstance(error, Unavailable)
    assert error.exchange is not None
    assert not error.exchange.sent


async def test_a_tls_handshake_that_never_ends_is_not_sent(impatient: Transport) -> None:
    async with Upstream(hangs) as upstream:
        url = upstream.url.replace("http:", "https:")
        error = await failing(impatient, url, Purpose.ADD)
    assert isinstance(error, Unavailable)
    assert "ConnectionTimeoutError" in str(error)
    assert upstream.connections == 1
    assert not upstream.requests


async def test_tls_to_a_plain_port_is_not_sent(transport: Transport) -> None:
    def speak_plainly(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Upstream(hangs, greet=speak_plainly) as upstream:
        url = upstream.url.replace("http:", "https:")
        error = await failing(transport, url, Purpose.ADD)
    assert isinstance(error, Unavailable)
    assert "ClientConnector" in str(error)
    assert upstream.connections == 1


@pytest.mark.skipif(which("openssl") is None, reason="no openssl to make a certificate with")
async def test_a_certificate_that_nobody_signed_is_not_sent(
    transport: Transport, tmp_path: Path
) -> None:
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-keyout", str(private), "-out", str(certificate)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    async with Upstream(says('{"order":1}'), ssl=context) as upstream:
        error = await failing(transport, upstream.url, Purpose.ADD)
    assert isinstance(error, Unavailable)
    assert "Certificate" in str(error)
    assert not upstream.requests


AFTER_SENDING: dict[str, Behaviour] = {
    "reset": resets,
    "closed without answer": sends(b""),
    "headers never come": hangs,
    "half a header": sends(b"HTTP/1.1 200 OK\r\nContent-"),
    "truncated body": sends(answer_bytes('{"order":123,"x', length=100)),
    "not HTTP": sends(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "broken chunks": sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
    "broken compression": sends(
        answer_bytes(b"\x1f\x8b\x08nope", headers={"Content-Encoding": "gzip"})
    ),
    "endless headers": sends(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000),
}


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("purpose", ALL_PURPOSES)
@pytest.mark.parametrize("case", AFTER_SENDING)
async def test_whatever_fails_after_sending_may_have_been_processed_and_is_not_repeated(
    impatient: Transport, case: str, purpose: Purpose, method: Method
) -> None:
    async with Upstream(AFTER_SENDING[case]) as upstream:
        error = await failing(impatient, upstream.url, purpose, method)
    assert type(error) is (Ambiguous if purpose is Purpose.ADD else Unavailable)
    assert error.exchange is not None
    assert error.exchange.sent
    assert upstream.connections == 1
    assert len(upstream.requests) == 1


async def test_a_get_on_a_connection_that_the_panel_gave_up_meanwhile_is_not_sent_again(
    transport: Transport,
) -> None:
    """The client repeats what it takes for harmless, on a connection that it kept above all."""

    async def answers_once(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(upstream.requests) == 1:
            writer.write(answer_bytes("{}"))
            await writer.drain()
        else:
            writer.close()

    async with Upstream(answers_once) as upstream:
        await ask(transport, upstream.url, Purpose.READ, Method.GET)
        error = await failing(transport, upstream.url, Purpose.READ, Method.GET)
    assert isinstance(error, Unavailable)
    assert "ServerDisconnectedError" in str(error)
    assert len(upstream.requests) == 2
    assert upstream.connections == 1


async def test_requests_are_counted_for_the_budget_of_whoever_asks(
    transport: Transport, closed_port: int
) -> None:
    async with Upstream(says("{}")) as upstream:
        with metered() as mine:
            await asyncio.gather(*(ask(transport, upstream.url) for _ in range(3)))
            with metered() as theirs:
                await ask(transport, upstream.url)
                await failing(transport, f"http://127.0.0.1:{closed_port}/", Purpose.READ)
        await ask(transport, upstream.url)
    assert (mine.requests, theirs.requests) == (3, 2)


async def test_a_reset_before_the_request_was_read_counts_as_sent(transport: Transport) -> None:
    async with Upstream(hangs, greet=reset) as upstream:
        error = await failing(transport, upstream.url, Purpose.ADD)
    assert isinstance(error, Ambiguous)
    assert upstream.connections == 1


async def test_the_part_of_a_truncated_answer_that_came_is_evidence(transport: Transport) -> None:
    raw = answer_bytes('{"order":123,"x', status=201, length=100)
    async with Upstream(sends(raw)) as upstream:
        error = await failing(transport, upstream.url, Purpose.ADD)
    assert isinstance(error, Ambiguous)
    assert error.exchange is not None
    assert error.exchange.body == '{"order":123,"x'
    assert error.exchange.status == 201


@pytest.mark.parametrize(
    "body",
    [b'{"order":123,' + b" " * 70_000, gzip.compress(b'{"order":123,' + b" " * 50_000_000)],
    ids=["plain", "gzip bomb"],
)
async def test_an_answer_over_the_cap_is_cut_off(transport: Transport, body: bytes) -> None:
    headers = {"Content-Encoding": "gzip"} if body.startswith(b"\x1f") else None
    async with Upstream(says(body, headers=headers)) as upstream:
        error = await failing(transport, upstream.url, Purpose.ADD)
    assert isinstance(error, Ambiguous)
    assert "too large" in str(error)
    assert error.exchange is not None
    assert error.exchange.body.startswith('{"order":123,')
    assert len(error.exchange.body) == EVIDENCE_LENGTH
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("purpose", ALL_PURPOSES)
async def test_an_answer_as_large_as_its_purpose_allows_is_read(
    transport: Transport, purpose: Purpose
) -> None:
    body = b" " * purpose.largest_answer
    async with Upstream(says(body)) as upstream:
        answer = await ask(transport, upstream.url, purpose)
    assert len(answer.text) == len(body)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_returned_and_not_followed(transport: Transport, status: int) -> None:
    async with Upstream(says('{"order":1}')) as elsewhere:
        location = {"Location": f"{elsewhere.url}?key={KEY}"}
        async with Upstream(says("", status=status, headers=location)) as upstream:
            answer = await ask(transport, upstream.url)
    assert answer.status == status
    assert answer.location == f"{elsewhere.url}?key=***"
    assert len(upstream.requests) == 1
    assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [400, 401, 429, 500, 502, 503])
async def test_an_error_status_is_an_answer_and_not_repeated(
    transport: Transport, status: int
) -> None:
    async with Upstream(says("<p>no</p>", status=status)) as upstream:
        answer = await ask(transport, upstream.url, Purpose.READ)
    assert (answer.status, answer.text) == (status, "<p>no</p>")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), (" 120 ", 120), ("", None), ("-1", None), ("soon", None), ("9" * 30, None)],
)
async def test_retry_after_is_read_in_seconds(
    transport: Transport, header: str, seconds: int | None
) -> None:
    async with Upstream(says("{}", status=429, headers={"Retry-After": header})) as upstream:
        answer = await ask(transport, upstream.url)
    assert answer.exchange.retry_after == seconds


@pytest.mark.parametrize("spelling", [KEY, KEY.upper(), f"key={KEY}&x", KEY[:10] + "\0" + KEY])
async def test_an_echoed_key_is_masked(transport: Transport, spelling: str) -> None:
    async with Upstream(says(f'{{"error":"bad {spelling}"}}')) as upstream:
        answer = await ask(transport, upstream.url)
    for text in (answer.text, answer.exchange.body, repr(answer)):
        assert KEY.casefold() not in text.casefold()
    assert "\0" not in answer.exchange.body


async def test_an_escaped_key_is_masked_too(transport: Transport) -> None:
    secret = 'k/ey"with+signs'
    spellings = [secret, quote(secret, safe=""), secret.replace('"', '\\"').replace("/", "\\/")]
    async with Upstream(says(" ".join(spellings))) as upstream:
        answer = await transport.send(Call(upstream.url, {"key": secret}), Purpose.READ, secret)
    assert answer.text == "*** *** ***"


async def test_a_cancellation_reaches_the_caller(transport: Transport) -> None:
    arrived = asyncio.Event()

    async def note(request: object, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with Upstream(note) as upstream:
        task = asyncio.create_task(ask(transport, upstream.url))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_transport_that_is_not_open_sends_nothing() -> None:
    async with Upstream(says("{}")) as upstream:
        with pytest.raises(RuntimeError):
            await ask(Transport(), upstream.url)
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Timeouts(connect=60),
        lambda: Timeouts(connect=0),
        lambda: Timeouts(read=5, connect=5),
    ],
)
def test_a_request_cannot_time_out_while_it_connects(make: Callable[[], Timeouts]) -> None:
    with pytest.raises(ValueError, match="connect timeout"):
        make()


def _connector_error(kind: type[aiohttp.ClientConnectorError]) -> aiohttp.ClientConnectorError:
    return kind(cast(ConnectionKey, SimpleNamespace(host="h", port=1, ssl=True)), OSError(1, "x"))


NOT_SENT = (
    _connector_error(aiohttp.ClientConnectorError),
    _connector_error(aiohttp.ClientConnectorDNSError),
    _connector_error(aiohttp.ClientConnectorSSLError),
    aiohttp.ConnectionTimeoutError(),
    aiohttp.InvalidURL("x"),
    aiohttp.NonHttpUrlClientError("x"),
)
MAY_BE_SENT = (
    aiohttp.ClientOSError(104, "reset"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ServerTimeoutError(),
    aiohttp.SocketTimeoutError(),
    aiohttp.ClientPayloadError(),
    aiohttp.ClientConnectionError(),
    aiohttp.ClientError(),
    TimeoutError(),
    ConnectionResetError(),
    OSError(),
    ValueError(),
    RuntimeError(),
)


@pytest.mark.parametrize("error", NOT_SENT, ids=lambda error: type(error).__name__)
def test_not_sent_takes_two_witnesses(error: Exception) -> None:
    assert proves_not_sent(error, headers_sent=False)
    assert not proves_not_sent(error, headers_sent=True)


@pytest.mark.parametrize("error", MAY_BE_SENT, ids=lambda error: type(error).__name__)
def test_every_other_error_may_come_after_sending(error: Exception) -> None:
    assert not proves_not_sent(error, headers_sent=False)
    assert not proves_not_sent(error, headers_sent=True)
