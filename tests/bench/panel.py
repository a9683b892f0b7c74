"""An upstream panel that costs little: ``python -m tests.bench.panel``.

Reads its instructions as one JSON line from standard input and prints its port. It takes every
order after a while, says of all that they are in progress, and answers a line on standard input
with what it has seen since the last one, as JSON.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

import uvloop
from aiohttp import web

_STATUS = {"charge": "0.01", "start_count": "10", "status": "In progress", "remains": "5"}
_STATUS |= {"currency": "USD"}


@dataclass(frozen=True, slots=True)
class Seen:
    """Calls so far, the most ``add``s at the same time, and seconds between two looks at an order.

    ``gap_p99`` and ``gap_most`` are over the looks at the same order, 0 where there were none.
    """

    adds: int = 0
    most_at_once: int = 0
    status_calls: int = 0
    ids_asked: int = 0
    looked_again: int = 0
    gap_p50: float = 0
    gap_p99: float = 0
    gap_most: float = 0


class BenchPanel:
    """Answers ``add`` after ``latency`` seconds, and everything else at once."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._adds = self._open = self._most = self._calls = self._ids = 0
        self._looked_at: dict[str, float] = {}
        self._gaps: list[float] = []

    async def handle(self, request: web.Request) -> web.Response:
        """One call of the panel API."""
        form = await request.post()
        match form.get("action"):
            case "add":
                return await self._add()
            case "status":
                ids = str(form.get("orders") or form.get("order") or "").split(",")
                return web.json_response(self._status(ids))
            case "balance":
                return web.json_response({"balance": "1000000.00", "currency": "USD"})
        return web.json_response([])

    async def _add(self) -> web.Response:
        self._adds += 1
        number = self._adds
        self._open += 1
        self._most = max(self._most, self._open)
        try:
            await asyncio.sleep(self._latency)
        finally:
            self._open -= 1
        return web.json_response({"order": number})

    def _status(self, ids: list[str]) -> dict[str, dict[str, str]]:
        now = time.monotonic()
        self._calls += 1
        self._ids += len(ids)
        for id_ in ids:
            if (before := self._looked_at.get(id_)) is not None:
                self._gaps.append(now - before)
            self._looked_at[id_] = now
        return dict.fromkeys(ids, _STATUS)

    def seen(self) -> Seen:
        """What was seen since the last time."""
        gaps = sorted(self._gaps) or [0.0]
        seen = Seen(
            self._adds,
            self._most,
            self._calls,
            self._ids,
            len(self._gaps),
            gaps[len(gaps) // 2],
            gaps[len(gaps) * 99 // 100],
            gaps[-1],
        )
        self._gaps, self._most = [], self._open
        return seen


async def _run() -> None:
    loop = asyncio.get_running_loop()
    panel = BenchPanel(json.loads(await loop.run_in_executor(None, sys.stdin.readline))["latency"])
    app = web.Application()
    app.router.add_post("/api/v2", panel.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(asdict(panel.seen())), flush=True)


def main() -> None:
    """Run the process until standard input ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run())


if __name__ == "__main__":
    main()
