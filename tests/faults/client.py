"""One client of the panel API, which logs what it asks before it asks, and what came of it."""

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, Self

import aiohttp

from schemas.money import parse_amount
from tests.faults.journal import Add, BalanceRead, Journal, Outcome, Request, Sight
from tests.panel_client import PanelClient
from tests.world import Customer

#: Longer than an answer is ever held.
PATIENCE_SECONDS = 40.0
_AWAY_SECONDS = 0.05


class Client:
    """Calls one of several addresses, and the next one while that is away.

    With a single address, ``up`` is cleared when nobody is there.
    """

    def __init__(
        self,
        urls: Sequence[str],
        number: int,
        customer: Customer,
        journal: Journal,
        up: asyncio.Event | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.retries = self.answered = self.put_off = 0
        self._customer = customer
        self._journal = journal
        self._up = up
        self._panels = [PanelClient(url, customer.key, patience=patience) for url in urls]
        self._turn = number

    async def __aenter__(self) -> Self:
        for panel in self._panels:
            await panel.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        for panel in self._panels:
            await panel.__aexit__(None, None, None)

    async def add(self, service: int, add: Add) -> None:
        """Ask for an order, and log its outcome."""
        add.began = time.monotonic()
        self._journal.begin(add)
        await self._ask_for(service, add, Outcome.FAIL)

    async def add_again(self, service: int, add: Add) -> None:
        """Ask again for an order whose answer was lost."""
        self.retries += 1
        # What was sent before may still have become an order.
        asked_before = add.outcome or Outcome.UNKNOWN
        add.outcome = None
        await self._ask_for(service, add, asked_before)

    async def _ask_for(self, service: int, add: Add, unless_sent: Outcome) -> None:
        values: dict[str, object] = {
            "service": service,
            "link": add.link,
            "quantity": add.quantity,
        }
        if add.name is not None:
            values["external_id"] = add.name
        try:
            status, body = await self._call("add", **values)
        except aiohttp.ClientConnectorError as error:
            add.outcome, add.said = unless_sent, f"not sent: {type(error).__name__}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            add.outcome, add.said = Outcome.UNKNOWN, type(error).__name__
        else:
            _conclude(add, status, json.loads(body))
        add.ended = time.monotonic()
        self._journal.note(add)

    async def balance(self) -> BalanceRead | None:
        """Read the balance; None where no answer comes."""
        began = time.monotonic()
        answer = await self._answered("balance")
        if answer is None or "balance" not in answer:
            return None
        amount = parse_amount(answer["balance"])
        read = BalanceRead(self._customer.id, amount, began, time.monotonic())
        self._journal.begin(read)
        return read

    async def status(self, order_id: int) -> bool:
        """Read one order's status; whether there was an answer."""
        began = time.monotonic()
        answer = await self._answered("status", order=order_id)
        return answer is not None and self._saw({str(order_id): answer}, began)

    async def statuses(self, order_ids: Iterable[int]) -> bool:
        """Read several orders' statuses; whether there was an answer."""
        began = time.monotonic()
        answer = await self._answered("status", orders=",".join(map(str, order_ids)))
        return answer is not None and self._saw(answer, began)

    async def request(self, action: str, order_id: int) -> None:
        """Ask to cancel or to refill an order."""
        asked = Request(self._customer.id, action, order_id, began=time.monotonic())
        self._journal.begin(asked)
        answer = await self._answered(action, order=order_id)
        if answer is None:
            asked.outcome = Outcome.UNKNOWN
        else:
            asked.outcome = Outcome.FAIL if "error" in answer else Outcome.OK
            asked.said, asked.given = json.dumps(answer), str(answer.get("refill", ""))
        asked.ended = time.monotonic()
        self._journal.note(asked)

    def _saw(self, rows: dict[str, Any], began: float) -> bool:
        ended = time.monotonic()
        for order_id, row in rows.items():
            word, charge, remains = row.get("error"), "0", "0"
            if word is None:
                word, charge, remains = row["status"], row["charge"], row["remains"]
            told = (word, parse_amount(charge), int(remains))
            sight = Sight(self._customer.id, int(order_id), *told, began, ended)
            self._journal.begin(sight)
        return True

    async def _answered(self, action: str, **values: object) -> Any:
        """The answer of a call; None where none came, or the gateway could not answer."""
        try:
            status, body = await self._call(action, **values)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
        return json.loads(body) if status == 200 else None

    async def _call(self, action: str, **values: object) -> tuple[int, bytes]:
        panel = self._panels[self._turn % len(self._panels)]
        try:
            status, body = await panel.raw(action, **values)
            self.answered += status == 200
            self.put_off += status == 503
            return status, body
        except aiohttp.ClientConnectorError:
            self._turn += 1
            if len(self._panels) == 1 and self._up is not None:
                self._up.clear()
            await asyncio.sleep(_AWAY_SECONDS)
            raise


def _conclude(add: Add, status: int, answer: dict[str, Any]) -> None:
    add.said = f"{status} {answer}"
    if status != 200:
        add.outcome = Outcome.UNKNOWN
    elif set(answer) == {"order"}:
        add.outcome, add.order_id = Outcome.OK, answer["order"]
    else:
        add.outcome = Outcome.FAIL
