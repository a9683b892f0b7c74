"""No secret appears in a log, on a metrics page or in an answer, whatever is called and breaks."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import aiohttp
import asyncpg
from aiohttp import web

from gateway.embedded import Addresses
from gateway.embedded.ports import free_port
from gateway.peppers import mac_of
from gateway.store import resellers
from gateway.store.connection import Pool
from gateway.web.ops.access import NEEDS
from tests.application_role import as_application
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.world import MASTER_KEYS, PEPPER, World

_IMPORTED = "canary4imported4key4e71c"
_PROVIDER_KEY = "canary-provider/key+5b90"
_HEADER = "canary-header-value-a2d4"
_BEARER = "canary-bearer-token-77c1"
_COOKIE = "canary-cookie-value-0e3f"
_SIGNATURE = "canary-signature-9ab2"
_PASSWORD = "canary-password-1d58"
_QUERY = "canary-query-secret-c6e0"
_OLD_PEPPER = "canary old pepper of more than 32 characters"
_OLD_MASTER = base64.b64encode(b"canary: a master key from before").decode()


async def _echo(request: web.Request) -> web.Response:
    """A panel that repeats what it is sent wherever a panel can."""
    fields = {name: str(value) for name, value in (await request.post()).items()}
    said = f"{dict(request.headers)} {fields} {await request.text()}"
    match fields.get("action"):
        case "balance":
            place = f"http://127.0.0.1:1/?{quote_plus(said)}"
            return web.Response(status=302, headers={"Location": place}, text=said)
        case "services":
            return web.Response(status=500, text=said, reason=fields.get("key"))
        case "add":
            return web.json_response({"error": f"Unknown: {said}"})
    return web.Response(text="{" + said)


@asynccontextmanager
async def _panel() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", _echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2"
    await runner.cleanup()


def _bodies(key: str) -> list[tuple[str, bytes]]:
    """Calls with a key, good and bad, in every encoding: content type and body."""
    form, as_json = "application/x-www-form-urlencoded", "application/json"
    actions = ["balance", "services", "add", "status", "refill", "refill_status", "cancel", "odd"]
    calls = [(form, f"key={key}&action={a}&order=1&refill=1".encode()) for a in actions]
    add = f"key={key}&action=add&link=https://a.example/&quantity=100&service="
    calls += [(form, f"{add}{service}".encode()) for service in ("1", "77", "x", "1&service=2")]
    calls += [
        (as_json, json.dumps({"key": key, "action": "balance"}).encode()),
        (as_json, json.dumps({"key": [key, key + "x"], "action": {"deep": key}}).encode()),
        (as_json, f'{{"key": "{key}", "action": '.encode()),
        (as_json, f'{{"key": "{key}", "key": "{key}y"}}'.encode()),
        (form, f"key={key}&key={key}z&action=balance".encode()),
        (form, b"key=" + key.encode() + b"&action=\xff\xfe"),
        ("multipart/form-data; boundary=x", f'--x\r\n{{"key": "{key}"}}\r\n'.encode()),
        ("text/plain", f"key={key}&action=balance".encode()),
    ]
    return calls


def _broken_requests(key: str) -> list[bytes]:
    """What the parser itself refuses."""
    head = b"POST /api/v2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key.encode() + b"\r\n"
    return [
        head + b"X-Api-Key: " + key.encode() + b"\x01\r\n\r\n",
        head + b"Cookie : session=" + key.encode() + b"\r\n\r\n",
        head + b"Content-Length: +5\r\n\r\nkey=" + key.encode(),
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nkey=" + key.encode() + b"\r\n",
        head + b"X: " + key.encode() * 500 + b"\r\n\r\n",
        b"POST /api/v2?key=" + key.encode() + b"\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01" + key.encode(),
        b"key=" + key.encode() + b"\r\n\r\n",
    ]


async def _raw(port: int, request: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    try:
        async with asyncio.timeout(10):
            return (await reader.read(100_000)).decode("latin-1")
    except ConnectionError:
        return ""
    finally:
        writer.close()


class _Client:
    """Calls everything, and keeps every answer."""

    def __init__(self, gateway: GatewayProcess, ops: str) -> None:
        self.gateway = gateway
        self.ops = ops
        self.answers: list[str] = []

    async def call_everything(self, keys: list[str]) -> None:
        headers = {
            "Authorization": f"Bearer {_BEARER}",
            "Cookie": f"session={_COOKIE}",
            "X-Webhook-Signature": _SIGNATURE,
        }
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for key in keys:
                for kind, body in _bodies(key):
                    await self._ask(session, "POST", self.gateway.url, kind, body, headers)
                await self._ask(session, "GET", f"{self.gateway.url}?key={key}&action=balance")
                two, kind = f"{self.gateway.url}?key={_QUERY}", "application/x-www-form-urlencoded"
                await self._ask(session, "POST", two, kind, f"key={key}&action=balance".encode())
                for request in _broken_requests(key):
                    # The server's parser quotes to a client what this client has just sent.
                    answer = await _raw(self.gateway.port, request)
                    self.answers.append(answer.replace(key, ""))
            root = self.gateway.url.removesuffix("/api/v2")
            for page in ("/docs", "/api/v2/openapi.json", "/.git/config", "/metrics", "/x"):
                url = f"{root}{page}?token={_QUERY}&key={keys[0]}"
                await self._ask(session, "GET", url, headers=headers)
            for page in ("/metrics", "/healthz", "/readyz", "/x"):
                url = f"{self.gateway.internal_url}{page}?token={_QUERY}"
                await self._ask(session, "GET", url, headers=headers)
            for route in [*NEEDS, "GET /ops/nothing"]:
                method, _, page = route.partition(" ")
                body = f"name=root&password={_PASSWORD}&code={_QUERY}".encode()
                kind = "application/x-www-form-urlencoded"
                url = f"{self.ops}{page}?token={_QUERY}"
                await self._ask(session, method, url, kind, body, headers)

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        kind: str = "text/plain",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        given = {"Content-Type": kind, **(headers or {})}
        async with session.request(
            method, url, data=body, headers=given, allow_redirects=False
        ) as answer:
            self.answers.append(f"{dict(answer.headers)} {await answer.text('latin-1')}")


async def test_no_secret_appears_anywhere_whatever_is_called_and_breaks(
    world: World, pool: Pool, engines: Addresses, database_url: str, tmp_path: Path
) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        mac = mac_of(PEPPER.encode(), _IMPORTED)
        await resellers.insert_key(conn, customer.id, mac, "old")
    ops_port = free_port()
    settings: dict[str, dict[str, object]] = {
        "log": {"level": "debug"},
        "security": {"old_pepper": _OLD_PEPPER, "master_keys": f"{MASTER_KEYS} {_OLD_MASTER}"},
        "ops": {"port": ops_port, "development": "true"},
        "tracking": {"balance_ms": 50},
        "catalogue": {"sync_ms": 100},
        "limits": {"requests_per_second": 100_000, "burst": 1_000_000},
    }
    url = as_application(database_url)
    process = GatewayProcess(url, engines.redis_url, tmp_path / "log", settings=settings)
    async with _panel() as panel:
        provider = await world.provider(panel, _PROVIDER_KEY, headers={"X-Shop": _HEADER})
        await world.provider("http://127.0.0.1:9/", _PROVIDER_KEY, "away")
        # One that no adapter can be made for, and one whose secret does not open.
        await world.provider(panel, _PROVIDER_KEY, "odd", timeouts={"add": 900})
        broken = await world.provider(panel, _PROVIDER_KEY, "broken")
        await pool.execute(
            "update secret set sealed = sealed || '\\x00' where owner_id = $1", broken.id
        )
        await world.service(provider)
        async with process:
            client = _Client(process, f"http://127.0.0.1:{ops_port}")
            keys = [customer.key, customer.key[:-1] + "x", _IMPORTED, _QUERY]
            await client.call_everything(keys)

            async def told() -> bool:
                events = {json.loads(line)["event"] for line in _lines(process)}
                return {"attempt.ended", "provider.unusable", "upstream.answered"} <= events

            await eventually(told)
            # From now on statements fail, with all that tracebacks and errors quote.
            await pool.execute("alter table balance rename to balance_away")
            await pool.execute("alter table api_key rename to api_key_away")
            await client.call_everything(keys)
            await pool.execute("alter table balance_away rename to balance")
            await pool.execute("alter table api_key_away rename to api_key")
            name = await pool.fetchval("select current_database()")
            operator = await asyncpg.connect(engines.database_url)
            await operator.execute(f"alter database {name} allow_connections false")
            await operator.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = $1 and usename = 'app'",
                name,
            )
            await client.call_everything(keys)
            await operator.execute(f"alter database {name} allow_connections true")
            await operator.close()
    printed = process.log_text()
    events = {json.loads(line)["event"] for line in _lines(process)}
    assert {"group.failed", "loop.failed", "security.two_keys"} <= events
    secrets = {
        *(PEPPER, MASTER_KEYS, _OLD_PEPPER, _OLD_MASTER, customer.key, _IMPORTED, _QUERY),
        *(_PROVIDER_KEY, quote_plus(_PROVIDER_KEY), _HEADER, _BEARER, _COOKIE, _SIGNATURE),
        *(_PASSWORD, urlsplit(url).password or "", urlsplit(engines.redis_url).password or ""),
    }
    assert "" not in secrets
    for secret in secrets:
        assert secret not in printed, (secret, printed[printed.index(secret) - 600 :][:800])
        for answer in client.answers:
            assert secret not in answer, (secret, answer[:2_000])


def _lines(process: GatewayProcess) -> list[str]:
    return [line for line in process.log_text().splitlines() if line.startswith("{")]
