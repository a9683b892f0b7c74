"""A reseller's account as the reseller sees it: the panel API's own answers, read only."""

import json
from dataclasses import dataclass
from typing import Any

from gateway.catalogue.snapshot import Catalogue
from gateway.operators.acting import record
from gateway.orders.telling import Teller
from gateway.resellers.accounts import find_reseller
from gateway.store import order_search
from gateway.store.connection import Pool, transaction
from schemas import panel_v2 as wire
from schemas.operators import Subject, Warrant
from schemas.order_search import OrderFilter


@dataclass(frozen=True, slots=True)
class View:
    """What ``balance``, ``services`` and ``status`` answer to a reseller; orders by their ids."""

    balance: Any
    services: Any
    orders: dict[int, Any]


async def view_as(
    pool: Pool, catalogue: Catalogue, name: str, warrant: Warrant, *, limit: int
) -> View:
    """What a reseller sees now, with the newest ``limit`` orders; that somebody looked is logged.

    Raises:
        UserError: when there is no such reseller.
    """
    async with pool.acquire() as conn:
        reseller = await find_reseller(conn, name)
        async with transaction(conn):
            await record(conn, warrant.act("reseller.viewed", Subject("reseller", name)))
        await catalogue.refresh(conn)
        wanted = OrderFilter(reseller=name)
        newest = [
            order.id for order in await order_search.list_found_orders(conn, wanted, limit=limit)
        ]
    teller = Teller(pool)
    told = await teller.orders(reseller.id, newest) if newest else {}
    balance = wire.balance_answer(await teller.balance(reseller.id), reseller.currency)
    services = await catalogue.answer(reseller.id, text_ids=reseller.text_ids)
    orders = {id_: json.loads(wire.status_text(told[id_])) for id_ in newest if id_ in told}
    return View(json.loads(balance), json.loads(services), orders)
