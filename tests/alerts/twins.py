"""Loopback twins of the channels: a Bot API, a mail server and a receiver of signed messages.

Each keeps what it was sent, and fails as told.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

TOKEN = "123456:a-bot-token-of-the-twin"
CHAT = "-1001"
SECRET = "whsec_" + base64.b64encode(b"a webhook secret of the twin").decode()
PASSWORD = "a mail password"
SENDER, RECIPIENT = "gateway@example.com", "operator@example.com"
#: Somebody whose mail is taken at a second try, where the twin is told so.
GREYLISTED = "second@example.com"
#: Nobody answers there.
NOWHERE = "http://127.0.0.1:9"


@dataclass(slots=True)
class Twin:
    """What was sent to a twin, and how it answers next: None is well."""

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    failure: str | None = None
    greylists: bool = True


@asynccontextmanager
async def _site(twin: Twin, handler: Any) -> AsyncIterator[Twin]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        twin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield twin
    finally:
        await runner.cleanup()


@asynccontextmanager
async def telegram_twin() -> AsyncIterator[Twin]:
    """The Bot API as far as a bot writes to a chat."""
    twin = Twin()

    async def answer(request: web.Request) -> web.Response:
        twin.asked += 1
        if twin.failure == "silent":
            await asyncio.sleep(60)
        if twin.failure == "500":
            return web.Response(status=500, text="<html>oops</html>")
        if twin.failure == "429":
            said = {"ok": False, "error_code": 429, "description": "Too Many Requests"}
            return web.json_response(said | {"parameters": {"retry_after": 33}}, status=429)
        fields = await request.json()
        if request.path not in (f"/bot{TOKEN}/sendMessage", f"/bot{TOKEN}/getChat"):
            said = {"ok": False, "error_code": 401, "description": f"Unauthorized {request.path}"}
            return web.json_response(said, status=401)
        if fields["chat_id"] != CHAT:
            said = {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"}
            return web.json_response(said, status=400)
        if request.path.endswith("getChat"):
            return web.json_response({"ok": True, "result": {"id": CHAT, "type": "group"}})
        twin.got.append(fields)
        return web.json_response({"ok": True, "result": {"message_id": len(twin.got)}})

    async with _site(twin, answer):
        yield twin


@asynccontextmanager
async def webhook_twin() -> AsyncIterator[Twin]:
    """A receiver that believes nothing without a fresh signature."""
    twin = Twin()

    async def answer(request: web.Request) -> web.Response:
        twin.asked += 1
        if request.method == "GET":
            return web.Response(status=405)
        if twin.failure is not None:
            return web.Response(status=int(twin.failure), headers={"Retry-After": "44"})
        payload = await request.read()
        if not _is_signed(request, payload):
            return web.Response(status=401)
        twin.got.append({"id": request.headers["webhook-id"], **json.loads(payload)})
        return web.Response(status=204)

    async with _site(twin, answer):
        yield twin


def _is_signed(request: web.Request, payload: bytes) -> bool:
    """As https://www.standardwebhooks.com says: id, Unix time and body, under the shared key."""
    at, message_id = request.headers["webhook-timestamp"], request.headers["webhook-id"]
    key = base64.b64decode(SECRET[len("whsec_") :])
    mac = hmac.new(key, f"{message_id}.{at}.".encode() + payload, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(mac).decode()}"
    given = request.headers["webhook-signature"].split(" ")
    return expected in given and abs(time.time() - int(at)) < 300


@asynccontextmanager
async def mail_twin() -> AsyncIterator[Twin]:
    """A mail server that wants a password and takes mail for two recipients alone."""
    twin = Twin()

    class Handler:
        async def handle_RCPT(  # noqa: N802 - the server's name for it
            self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
        ) -> str:
            if address == GREYLISTED and twin.greylists:
                return "450 4.2.0 greylisted, try later"
            if address not in (RECIPIENT, GREYLISTED):
                return "550 5.1.1 nobody of that name"
            envelope.rcpt_tos.append(address)
            return "250 2.1.5 fine"

        async def handle_DATA(  # noqa: N802 - the server's name for it
            self, server: SMTP, session: Session, envelope: Envelope
        ) -> str:
            if twin.failure is not None:
                return twin.failure
            assert isinstance(envelope.content, bytes)
            twin.got.append({"to": envelope.rcpt_tos, "text": envelope.content.decode()})
            return "250 2.0.0 queued as 1"

    def authenticate(server: SMTP, *arguments: Any) -> AuthResult:
        login = arguments[-1]
        assert isinstance(login, LoginPassword)
        twin.asked += 1
        return AuthResult(success=login.password == PASSWORD.encode(), handled=False)

    def protocol() -> SMTP:
        return SMTP(Handler(), authenticator=authenticate, auth_require_tls=False, hostname="twin")

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        twin.url = f"smtp://gateway:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}"
        yield twin
    finally:
        server.close()
        await server.wait_closed()
