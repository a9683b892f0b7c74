"""The shipped nginx configuration in front of a gateway: a real nginx, a certificate of our own."""

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from structlog.testing import LogCapture

from gateway.embedded.ports import HOST, free_port
from gateway.resellers.accounts import issue_key
from schemas.resellers import KeyTerms
from tests.architecture import ROOT
from tests.conftest import OpenGateway, eventually
from tests.postgresql.tls_server import make_authority
from tests.world import BY_TEST, PEPPERS, World

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("openssl")),
    reason="SKIPPED, NOT TESTED: no nginx here (apt-get install nginx-light openssl)",
)

_ELSEWHERE = "203.0.113.9"
_TOKEN = "never-to-be-written-down"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where nginx listens."""

    plain: str
    tls: str
    tls_port: int
    folder: Path

    def written(self) -> str:
        """All that it has written down."""
        return "".join(file.read_text() for file in self.folder.glob("*.log"))


def _adapted(folder: Path, ports: tuple[int, int], proxy: Proxy, plain_port: int) -> str:
    """The shipped file with this test's ports and certificate, in a configuration of its own."""
    shipped = (ROOT / "deploy/nginx/smm-gateway.conf").read_text()
    for old, new in (
        (r"listen 80;", f"listen {HOST}:{plain_port};"),
        (r"listen 443 ssl", f"listen {HOST}:{proxy.tls_port} ssl"),
        (r"127\.0\.0\.1:8800", f"{HOST}:{ports[0]}"),
        (r"127\.0\.0\.1:8801", f"{HOST}:{ports[1]}"),
        (r"/etc/ssl/\w+\.example\.com/fullchain\.pem", f"{folder}/proxy.crt"),
        (r"/etc/ssl/\w+\.example\.com/privkey\.pem", f"{folder}/proxy.key"),
        (r"/var/log/nginx/smm-gateway\.log", f"{folder}/access.log"),
        (r"/var/log/nginx/error\.log", f"{folder}/error.log"),
        (r"(client_header_timeout|client_body_timeout) \d+s", r"\1 1s"),
    ):
        shipped, found = re.subn(old, new, shipped)
        assert found, old
    places = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;"
        f"events {{}} http {{ {places} {shipped} }}"
    )


@asynccontextmanager
async def _nginx(folder: Path, *ports: int) -> AsyncIterator[Proxy]:
    """In front of an API and a console on these ports."""
    api_port, console_port = ports
    folder.mkdir()
    await make_authority(folder, "proxy")
    plain_port, tls_port = free_port(), free_port()
    proxy = Proxy(f"http://{HOST}:{plain_port}", f"https://{HOST}:{tls_port}", tls_port, folder)
    file = folder / "nginx.conf"
    file.write_text(_adapted(folder, (api_port, console_port), proxy, plain_port))
    process = await asyncio.create_subprocess_exec(
        "nginx", "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")
    )

    async def up() -> bool:
        assert process.returncode is None, (folder / "error.log").read_text()
        try:
            _, writer = await asyncio.open_connection(HOST, tls_port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await eventually(up)
        yield proxy
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def proxy(world: World, open_gateway: OpenGateway, tmp_path: Path) -> AsyncIterator[Proxy]:
    """nginx in front of a gateway that believes it."""
    believed = {"port": 0, "trusted_proxies": [f"{HOST}/32"]}
    async with (
        open_gateway(http=believed, ops=believed | {"url": "https://ops.example.com"}) as gateway,
        _nginx(tmp_path / "nginx", *map(_port, (gateway.api_url, gateway.console_url))) as running,
    ):
        yield running


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _get(url: str, host: str, path: str) -> tuple[int, Mapping[str, str]]:
    """The status and head that a browser gets, which takes compressed answers."""
    connector = aiohttp.TCPConnector(ssl=_trusting())
    headers = {"Host": host, "Accept-Encoding": "gzip"}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"{url}{path}", headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, answer.headers


async def _balance(url: str, key: str, **headers: str) -> tuple[int, str]:
    connector = aiohttp.TCPConnector(ssl=_trusting())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(
            f"{url}/api/v2",
            data={"key": key, "action": "balance"},
            headers={"Host": "api.example.com"} | headers,
        ) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_call_through_the_proxy_is_answered(proxy: Proxy, world: World) -> None:
    customer = await world.reseller("anka", funds="3")
    assert await _balance(proxy.tls, customer.key) == (200, '{"balance":"3.00","currency":"USD"}')


async def test_a_key_sent_without_tls_is_refused_not_redirected_and_named_as_exposed(
    proxy: Proxy, world: World, capture: LogCapture
) -> None:
    customer = await world.reseller("anka", funds="3")
    status, text = await _balance(proxy.plain, customer.key, **{"X-Forwarded-Proto": "https"})
    assert (status, text) == (403, '{"error":"Use https"}')
    exposed = [line for line in capture.entries if line["event"] == "security.exposed_key"]
    assert [line["key_id"] for line in exposed] == [1]


async def test_the_console_is_reached_by_its_own_name_and_with_tls_alone(proxy: Proxy) -> None:
    status, answer = await _get(proxy.tls, "ops.example.com", "/ops/sign-in")
    assert status == 200
    assert "Content-Encoding" not in answer
    status, answer = await _get(proxy.plain, "ops.example.com", f"/ops/welcome/{_TOKEN}")
    assert (status, answer["Location"]) == (301, "https://ops.example.com/ops")
    assert (await _get(proxy.tls, "api.example.com", "/ops/sign-in"))[0] == 404


async def test_an_address_that_a_client_invents_does_not_reach_the_gateway(
    proxy: Proxy, world: World
) -> None:
    await world.reseller("anka", funds="3")
    terms = KeyTerms(networks=(ip_network(f"{_ELSEWHERE}/32"),))
    async with world.pool.acquire() as conn:
        _, key = await issue_key(conn, "anka", PEPPERS, BY_TEST, terms)
    headers = {"X-Forwarded-For": _ELSEWHERE}
    _, text = await _balance(proxy.tls, key, **headers)
    assert "error" in text


async def test_a_head_that_never_ends_is_cut_off_by_the_proxy(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection(HOST, proxy.tls_port, ssl=_trusting())
    writer.write(b"POST /api/v2 HTTP/1.1\r\nHost: api.example.com\r\n")
    assert b"200" not in await reader.read()
    writer.close()


async def test_what_is_written_down_of_a_call_holds_no_key_and_no_token(
    proxy: Proxy, world: World
) -> None:
    customer = await world.reseller("anka", funds="3")
    call = f"/api/v2?action=balance&key={customer.key}"
    assert (await _get(proxy.tls, "api.example.com", call))[0] == 200
    assert (await _get(proxy.tls, "ops.example.com", f"/ops/welcome/{_TOKEN}"))[0] < 500
    assert "/api/v2" in proxy.written()
    assert customer.key not in proxy.written()
    assert _TOKEN not in proxy.written()


async def test_what_is_written_down_while_the_gateway_is_away_holds_no_key_and_no_token(
    tmp_path: Path,
) -> None:
    async with _nginx(tmp_path / "nginx", free_port(), free_port()) as proxy:
        call = f"/api/v2?action=balance&key={_TOKEN}"
        assert (await _get(proxy.tls, "api.example.com", call))[0] == 502
        assert (await _get(proxy.plain, "api.example.com", call))[0] == 502
        assert (await _get(proxy.tls, "ops.example.com", f"/ops/welcome/{_TOKEN}"))[0] == 502
        assert proxy.written().count(" 502 ") == 3
        assert _TOKEN not in proxy.written()
