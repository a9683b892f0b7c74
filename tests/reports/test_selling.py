"""Reports: whatever happened, they say what the ledger says, in the days of their reader."""

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.errors import UserError
from gateway.orders.operator_acts import effect_of
from gateway.reports.selling import beginnings, sales_report, sales_sheet
from gateway.reports.speed import service_paces
from gateway.store import reports as store
from gateway.store.connection import Connection, Pool
from schemas.order_work import Deed, OrderAction
from schemas.reports import Dimension, Period
from tests.finished import CHARGE, fill_finished
from tests.money.faults import tamper
from tests.orders.line import faulty, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import BY_TEST, World

_TODAY = datetime.now(UTC).date()
_LONG_AGO, _SOON = _TODAY - timedelta(days=90), _TODAY + timedelta(days=2)


async def _ledger(pool: Pool) -> tuple[int, int, int]:
    async with pool.acquire() as conn:
        row = await conn.fetchrow(
            """select count(*) filter (where cause = 'charge'),
                      coalesce(sum(amount) filter (where cause = 'charge'), 0)::bigint,
                      coalesce(sum(amount) filter (where cause = 'refund'), 0)::bigint from entry"""
        )
    assert row is not None
    return row[0], row[1], row[2]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "Asia/Kathmandu"])
async def test_sums_are_those_of_the_ledger_however_they_are_broken_down(
    world: World, sandbox: SandboxProcess, zone: str
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with open_line(world, sandbox) as line:
        links = [faulty(*chance.choice([(), ("refuse",)]), name=f"l{n}") for n in range(9)]
        made = await line.place(*links, quantity=chance.randrange(100, 2000))
        await line.send(6)
        await line.panel.control("advance", {"work": 1})
        await line.poll()
        for order in made:
            action = chance.choice([OrderAction.CANCEL, OrderAction.REFUND])
            deed = Deed(action, remains=chance.choice([None, 7]))
            await effect_of(line.pool, order, deed, BY_TEST, correction_ms=1000)
    async with world.pool.acquire() as conn:
        await fill_finished(conn, [line.customer.id], 1, line.provider.id, first=5000, number=200)
    expected = await _ledger(world.pool)
    assert expected[2] > 0
    for period in Period:
        for dimension in Dimension:
            rows = await sales_report(
                world.pool, period, dimension, first=_LONG_AGO, last=_SOON, time_zone=zone
            )
            found = (
                sum(row.orders for row in rows),
                sum(row.revenue for row in rows),
                sum(row.refunds for row in rows),
            )
            assert found == expected, (period, dimension)
            assert len({(row.begins, row.key) for row in rows}) == len(rows)
            assert sum(row.margin for row in rows) == found[1] - found[2] - sum(
                row.cost for row in rows
            )
    await world.assert_sound()


async def test_a_day_begins_where_its_reader_is(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="1000")
    service = await world.service(await world.provider("http://127.0.0.1:1/"))
    async with pool.acquire() as conn:
        await fill_finished(conn, [customer.id], service, 1, first=1, number=1)
        at = await conn.fetchval("select at from entry where cause = 'charge'")
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        day = at.astimezone(ZoneInfo(zone)).date()
        for offset, number in ((0, 1), (1, 0), (-1, 0)):
            asked = day + timedelta(days=offset)
            rows = await sales_report(
                pool, Period.DAY, Dimension.TOTAL, first=asked, last=asked, time_zone=zone
            )
            assert sum(row.orders for row in rows) == number, (zone, offset)


async def test_a_refund_takes_its_share_of_the_cost(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="1000")
    service = await world.service(await world.provider("http://127.0.0.1:1/"))
    async with pool.acquire() as conn:
        # Of these one is canceled, one was delivered in part, and one whole.
        await fill_finished(conn, [customer.id], service, 1, first=25, number=3)
    [row] = await sales_report(
        pool, Period.MONTH, Dimension.TOTAL, first=_LONG_AGO, last=_SOON, time_zone="UTC"
    )
    assert (row.orders, row.revenue, row.refunds) == (3, 3 * CHARGE, CHARGE + CHARGE // 4)
    assert row.cost == CHARGE // 2 + CHARGE * 3 // 8
    assert row.margin == row.revenue - row.refunds - row.cost


async def test_names_that_are_formulas_stay_names_in_a_sheet(world: World, pool: Pool) -> None:
    customer = await world.reseller("=cmd", funds="1000")
    service = await world.service(await world.provider("http://127.0.0.1:1/"))
    async with pool.acquire() as conn:
        await fill_finished(conn, [customer.id], service, 1, first=25, number=1)
    rows = await sales_report(
        pool, Period.DAY, Dimension.RESELLER, first=_LONG_AGO, last=_SOON, time_zone="UTC"
    )
    lines = sales_sheet(rows, Dimension.RESELLER).splitlines()
    assert lines[0] == "begins,reseller,orders,quantity,revenue,refunds,cost,margin"
    assert lines[1].endswith(",'=cmd,1,1000,1.000000,1.000000,0.000000,0.000000")


def test_the_periods_of_a_span_begin_with_their_first_days() -> None:
    span = (date(2026, 12, 30), date(2027, 2, 1))
    months = [date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)]
    assert beginnings(Period.MONTH, *span) == months
    assert len(beginnings(Period.DAY, *span)) == 34


async def test_a_month_is_added_up_from_its_days_and_its_cost_rounded_once(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="1000")
    service = await world.service(await world.provider("http://127.0.0.1:1/"))
    async with pool.acquire() as conn:
        # Each was delivered in part: of three micro-units of cost three quarters stay.
        for order in (26, 51, 76):
            await fill_finished(conn, [customer.id], service, 1, first=order, number=1)
        await conn.execute("update orders set cost = 3")
        at = "'2026-03-01Z'::timestamptz + order_id * interval '6 hours'"
        await tamper(conn, f"update entry set at = {at} where order_id is not null")
    told: list[tuple[int, int]] = []
    [row] = await sales_report(
        pool,
        Period.MONTH,
        Dimension.TOTAL,
        first=date(2026, 3, 1),
        last=date(2026, 3, 31),
        time_zone="UTC",
        tell=lambda *far: told.append(far),
    )
    assert (row.begins, row.orders) == (date(2026, 3, 1), 3)
    assert row.cost == 7  # 6.75; of days that were rounded, it would be 6
    assert told[-1] == (31, 31)


async def test_a_report_that_the_database_breaks_off_says_so(
    world: World, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(conn: Connection, *_: object, **__: object) -> None:
        await conn.execute("set statement_timeout = '10ms'")
        try:
            await conn.execute("select pg_sleep(60)")
        finally:
            await conn.execute("reset statement_timeout")

    monkeypatch.setattr(store, "list_report_parts", slow)
    with pytest.raises(UserError, match="too busy to add up"):
        await sales_report(
            pool, Period.DAY, Dimension.TOTAL, first=_TODAY, last=_TODAY, time_zone="UTC"
        )


async def test_a_span_without_sense_is_refused(pool: Pool) -> None:
    for first, last in ((_SOON, _LONG_AGO), (date(1990, 1, 1), _TODAY)):
        with pytest.raises(UserError, match="ten years"):
            await sales_report(
                pool, Period.DAY, Dimension.TOTAL, first=first, last=last, time_zone="UTC"
            )


async def test_a_service_that_has_slowed_down_is_named(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="1000")
    provider = await world.provider("http://127.0.0.1:1/")
    slow, steady = [await world.service(provider, upstream_service=str(n)) for n in (1, 2)]
    async with pool.acquire() as conn:
        for service, first in ((slow, 101), (steady, 111), (slow, 201), (steady, 211)):
            await fill_finished(conn, [customer.id], service, 1, first=first, number=10)
        for lower, days, hours in ((101, 5, 1), (111, 5, 1), (201, 0, 8), (211, 0, 1)):
            await conn.execute(
                """update orders
                      set created_at = now() - $2 * interval '1 day' - interval '9 hours',
                          ended_at = now() - $2 * interval '1 day' - interval '9 hours'
                                     + $3 * interval '1 hour'
                    where id between $1 and $1 + 9""",
                lower,
                days,
                hours,
            )
        paces = await service_paces(conn, lately_hours=24, usual_days=14)
    found = {pace.service_id: pace for pace in paces}
    assert paces[0].service_id == slow
    assert (found[slow].slower, found[steady].slower) == (True, False)
    lately = found[slow].lately
    assert lately is not None
    assert lately.finish_p50 == 8 * 3600
