"""The handler that the gateway is compared to: ``python -m tests.bench.bare``.

The same loop, HTTP server, parser and answer bytes, and nothing behind them; only ``status`` of
many orders reads its rows, with asyncpg. Reads its instructions as one JSON line from standard
input, prints its port, and serves until it is ended.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass

import asyncpg
import uvloop
from aiohttp import web

from gateway.store.connection import Pool, open_pool
from gateway.web.fields import every, one, read_fields
from gateway.web.panel_api import LARGEST_BODY, answer
from schemas.orders import ToldOrder
from schemas.panel_v2 import read_id, read_ids, statuses_answer

_KEEP_ALIVE_SECONDS = 75.0  # as the gateway's


@dataclass(frozen=True, slots=True)
class Instructions:
    """What to answer to each action, and where the orders are; port 0 is a free one."""

    database_url: str
    pool_size: int
    answers: dict[str, str]
    port: int

    def line(self) -> str:
        """The form in which the process takes them."""
        return json.dumps(asdict(self)) + "\n"


class Bare:
    """Answers with ready bytes."""

    def __init__(self, pool: Pool, answers: dict[str, str]) -> None:
        self._pool = pool
        self._answers = {action: text.encode() for action, text in answers.items()}

    async def handle(self, request: web.Request) -> web.Response:
        """Parse, and answer."""
        fields = await read_fields(request)
        orders = every(fields, "orders")
        if orders:
            return answer(await self._statuses(orders))
        return answer(self._answers[one(fields, "action") or ""])

    async def _statuses(self, orders: list[str]) -> bytes:
        asked = read_ids((), orders)
        ids = {token: read_id(token) for token in asked.tokens}
        async with self._pool.acquire() as conn:
            rows: list[asyncpg.Record] = await conn.fetch(
                """select id, wire_status, wire_charge, start_count, wire_remains, currency
                     from orders where id = any($1::int[])""",
                list(ids.values()),
            )
        found = {row["id"]: ToldOrder(*row) for row in rows}
        known = {token: found[id_] for token, id_ in ids.items() if id_ is not None}
        return statuses_answer(asked, known)


async def serve(instructions: Instructions) -> None:
    """Listen until cancelled."""
    pool = await open_pool(instructions.database_url, size=instructions.pool_size)
    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post("/api/v2", Bare(pool, instructions.answers).handle)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS)
    await runner.setup()
    # Further processes listen on the first one's port.
    site = web.TCPSite(runner, "127.0.0.1", instructions.port, backlog=1024, reuse_port=True)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run the process."""
    instructions = Instructions(**json.loads(sys.stdin.readline()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(instructions))


if __name__ == "__main__":
    main()
