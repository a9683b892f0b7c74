"""Looking for orders: what is found, page by page, and by which index among many."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.store.connection import Pool
from gateway.store.order_search import list_found_orders, list_search_plan, list_seen_orders
from gateway.store.provider_pulse import list_pulses, list_pulses_plan
from schemas.order_search import OrderFilter
from schemas.orders import OrderState
from tests.finished import fill_finished
from tests.world import World

_FEW = 400


async def _filled(world: World, number: int) -> None:
    provider = await world.provider("http://127.0.0.1:1/", name="main")
    service = await world.service(provider)
    buyers = [(await world.reseller(name, funds="100000")).id for name in ("anna", "bert")]
    async with world.pool.acquire() as conn:
        await fill_finished(conn, buyers, service, provider.id, first=1, number=number)
        # As if they had come one after the other, a minute apart.
        await conn.execute(
            "update orders set created_at = '2026-01-01Z'::timestamptz + id * interval '1 minute'"
        )
        await conn.execute("insert into external_id values ($1, 'my-7', 7)", buyers[1])
        await conn.execute("vacuum analyze orders")
        await conn.execute("analyze external_id")


def _at(minute: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)


_CASES: dict[str, tuple[OrderFilter, set[int]]] = {
    "ids": (OrderFilter(order_ids=(3, 5, 99_999)), {3, 5}),
    "external id": (OrderFilter(external_id="my-7"), {7}),
    "upstream id": (OrderFilter(upstream_id="f9"), {9}),
    "link": (OrderFilter(link="https://www.instagram.com/p/F12/"), {12}),
    "reseller and state": (
        OrderFilter(reseller="anna", states=(OrderState.CANCELED,)),
        set(range(50, _FEW + 1, 50)),
    ),
    "states": (
        OrderFilter(states=(OrderState.CANCELED, OrderState.PARTIAL)),
        {n for n in range(1, _FEW + 1) if n % 25 in (0, 1)},
    ),
    "time": (OrderFilter(since=_at(100), until=_at(110)), set(range(100, 110))),
    "since": (OrderFilter(since=_at(_FEW - 2)), {_FEW - 2, _FEW - 1, _FEW}),
    "until": (OrderFilter(until=_at(3)), {1, 2}),
    "provider and service": (OrderFilter(provider="main", service_id=99), set()),
    "nobody's": (OrderFilter(reseller="ghost"), set()),
    "all at once": (
        OrderFilter(order_ids=(7,), external_id="my-7", reseller="bert", provider="main"),
        {7},
    ),
}


async def test_each_filter_finds_what_it_names_page_by_page(world: World, pool: Pool) -> None:
    await _filled(world, _FEW)
    async with pool.acquire() as conn:
        for name, (wanted, expected) in _CASES.items():
            found: list[int] = []
            while page := await list_found_orders(
                conn, wanted, before_id=found[-1] if found else None, limit=7
            ):
                found += [order.id for order in page]
            assert found == sorted(expected, reverse=True), name
            seen = await list_seen_orders(conn, wanted, after_id=0, limit=1000)
            assert [order.id for order in seen] == sorted(expected), name


async def test_among_many_no_search_reads_the_whole_table(world: World, pool: Pool) -> None:
    await _filled(world, 60_000)
    async with pool.acquire() as conn:
        for name, (wanted, _) in _CASES.items():
            plan = "\n".join(await list_search_plan(conn, wanted, 50))
            assert "Seq Scan on orders_0" not in plan, f"{name}:\n{plan}"
        rare = await list_search_plan(conn, OrderFilter(link="https://a.example/none"), 50)
        assert "orders_0_link_provider_id" in "\n".join(rare), rare
        await conn.execute("update orders set state = 'queued' where id in (11, 12)")
        await conn.execute("update orders set state = 'review' where id = 13")
        [pulse] = await list_pulses(conn, _at(50_000))
        assert pulse.open_orders == 3
        plan = "\n".join(await list_pulses_plan(conn, datetime.now(UTC)))
        assert "Seq Scan on orders_0" not in plan, plan


@pytest.mark.parametrize("limit", [1, 50])
async def test_an_empty_database_is_searched_too(pool: Pool, limit: int) -> None:
    async with pool.acquire() as conn:
        for wanted, _ in _CASES.values():
            assert await list_found_orders(conn, replace(wanted), limit=limit) == []
