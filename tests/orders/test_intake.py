"""Intake: groups of orders that are charged together, and refused one by one."""

import asyncio
import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest
import structlog

from gateway.catalogue.snapshot import Catalogue
from gateway.grouping import GroupFailed
from gateway.orders.drafting import Draft, draft_order
from gateway.orders.intake import Intake
from gateway.orders.receipts import Receipts
from gateway.spool import Spool
from gateway.store import services
from gateway.store.connection import Pool, transaction
from schemas.catalogue import ServiceChange
from schemas.money import UNIT, parse_rate
from schemas.panel_v2 import PanelError
from tests.conftest import eventually
from tests.world import Customer, World

_LINK = "https://example.com/p/1"
#: Nothing is in doubt here.
NO_SPOOL = Spool(Path("/dev/null/spool"))


@dataclass(frozen=True)
class Counter:
    """An intake over a world with one service, at 0.90 per thousand."""

    intake: Intake
    catalogue: Catalogue
    pool: Pool
    service: int
    woken: list[None]

    def draft(self, customer: Customer, quantity: int = 1000) -> Draft:
        return draft_order(
            self.catalogue.current.services[self.service],
            {"link": _LINK, "quantity": str(quantity)},
            reseller_id=customer.id,
            currency="USD",
            request_id="r-1",
        )

    async def charges(self) -> dict[int, int]:
        """The charges of all orders that are committed, by order."""
        async with self.pool.acquire() as conn:
            rows = await conn.fetch("select id, charge from orders")
        return {row["id"]: row["charge"] for row in rows}

    async def change(self, **values: object) -> None:
        """Change the service behind the back of the catalogue."""
        change = ServiceChange(**values)  # type: ignore[arg-type]
        async with self.pool.acquire() as conn:
            await services.set_service(conn, self.service, change)


@pytest.fixture
async def counter(world: World, pool: Pool) -> Counter:
    """Ready to take orders."""
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    service = await world.service(provider, rate="0.90", minimum=1, maximum=1_000_000)
    catalogue = Catalogue()
    async with pool.acquire() as conn:
        await catalogue.refresh(conn)
    woken: list[None] = []
    intake = Intake(
        pool, catalogue, lambda _: woken.append(None), Receipts(), NO_SPOOL, largest=250
    )
    return Counter(intake, catalogue, pool, service, woken)


async def placed(intake: Intake, draft: Draft) -> int:
    """The id of an order that is accepted."""
    return (await intake.submit(draft)).order_id


async def submit(counter: Counter, drafts: list[Draft]) -> list[int | BaseException]:
    """The answers to orders that arrive together."""
    answers = (placed(counter.intake, draft) for draft in drafts)
    return await asyncio.gather(*answers, return_exceptions=True)


async def test_an_accepted_order_is_charged_queued_and_ready_to_be_sent(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="10")
    order = await placed(counter.intake, counter.draft(customer))
    async with pool.acquire() as conn:
        row = await conn.fetchrow("select * from orders where id = $1", order)
    assert row is not None
    assert (row["state"], row["charge"], row["rate"]) == ("queued", 900_000, 900_000)
    assert (row["wire_status"], row["wire_remains"], row["link"]) == ("Pending", 1000, _LINK)
    assert await world.balance(customer) == 10 * UNIT - 900_000
    await eventually_woken(counter)
    await world.assert_sound()


async def eventually_woken(counter: Counter) -> None:
    async def woken() -> bool:
        return bool(counter.woken)

    await eventually(woken)


async def test_an_order_is_committed_when_its_answer_arrives(
    counter: Counter, world: World
) -> None:
    customer = await world.reseller(funds="100")

    async def place() -> None:
        order = await placed(counter.intake, counter.draft(customer, 10))
        assert order in await counter.charges()

    await asyncio.gather(*(place() for _ in range(50)))


async def test_orders_that_arrive_together_share_a_transaction(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="100")
    await submit(counter, [counter.draft(customer, 10) for _ in range(100)])
    async with pool.acquire() as conn:
        transactions = await conn.fetchval("select count(distinct xmin::text) from orders")
    assert transactions < 10


async def test_funds_for_some_of_many_orders_accept_exactly_those_that_fit(
    counter: Counter, world: World
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    customer = await world.reseller(funds="20")
    drafts = [counter.draft(customer, chance.randrange(1, 2000)) for _ in range(120)]
    answers = await submit(counter, drafts)
    left = await world.balance(customer)
    charges = await counter.charges()
    for draft, answer in zip(drafts, answers, strict=True):
        if isinstance(answer, int):
            assert charges.pop(answer) == draft.charge
        else:
            assert isinstance(answer, PanelError)
            assert str(answer) == "Not enough funds on balance"
            assert draft.charge > left
    assert charges == {}
    taken = sum(d.charge for d, a in zip(drafts, answers, strict=True) if isinstance(a, int))
    assert left == 20 * UNIT - taken
    await world.assert_sound()


async def test_two_gateways_at_once_spend_the_same_money_once(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="9")
    other = Intake(pool, counter.catalogue, lambda _: None, Receipts(), NO_SPOOL, largest=7)
    drafts = [counter.draft(customer, 1000) for _ in range(30)]
    answers = await asyncio.gather(
        *(placed(counter.intake, draft) for draft in drafts[::2]),
        *(placed(other, draft) for draft in drafts[1::2]),
        return_exceptions=True,
    )
    accepted = [answer for answer in answers if isinstance(answer, int)]
    assert len(accepted) == len(set(accepted)) == 10
    assert await world.balance(customer) == 0
    await world.assert_sound()


async def test_a_bad_order_fails_alone(counter: Counter, world: World) -> None:
    rich, poor = await world.reseller("rich", funds="10"), await world.reseller("poor", funds="0")
    drafts = [counter.draft(rich), counter.draft(poor), counter.draft(rich)]
    first, second, third = await submit(counter, drafts)
    assert isinstance(first, int)
    assert isinstance(third, int)
    assert str(second) == "Not enough funds on balance"
    assert set(await counter.charges()) == {first, third}


async def test_a_price_that_changed_meanwhile_is_charged_at_the_new_price(
    counter: Counter, world: World
) -> None:
    customer = await world.reseller(funds="10")
    draft = counter.draft(customer)
    await counter.change(rate=parse_rate("1.20"))
    order = await placed(counter.intake, draft)
    assert await counter.charges() == {order: 1_200_000}
    assert await world.balance(customer) == 10 * UNIT - 1_200_000
    await world.assert_sound()


async def test_a_group_is_priced_anew_from_its_own_services_while_the_catalogue_changes(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="1000")
    known = counter.catalogue.current
    stop = asyncio.Event()

    async def change_without_pause() -> None:
        while not stop.is_set():
            async with pool.acquire() as conn:
                await conn.execute("update service set position = position + 1")

    changing = asyncio.create_task(change_without_pause())
    orders = [await placed(counter.intake, counter.draft(customer)) for _ in range(20)]
    stop.set()
    await changing
    assert len(await counter.charges()) == len(orders) == 20
    # The whole catalogue was read by none of them.
    assert counter.catalogue.current is known
    await world.assert_sound()


async def test_the_catalogue_stays_as_it_is_while_a_group_is_priced_anew(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="10")
    draft = counter.draft(customer)
    await counter.change(rate=parse_rate("1.20"))
    async with pool.acquire() as holder, transaction(holder):
        # The group has taken the version, and waits for the services that it prices anew.
        await holder.execute("lock table service in access exclusive mode")
        placing = asyncio.create_task(placed(counter.intake, draft))
        await eventually(lambda: _someone_waits(pool))
        async with pool.acquire() as conn:
            with pytest.raises(asyncpg.LockNotAvailableError):
                await conn.execute("select from version for no key update nowait")
    order = await placing
    assert await counter.charges() == {order: 1_200_000}


async def test_a_new_price_beyond_the_funds_is_refused(counter: Counter, world: World) -> None:
    customer = await world.reseller(funds="1")
    draft = counter.draft(customer)
    await counter.change(rate=parse_rate("1.20"))
    with pytest.raises(PanelError, match="Not enough funds"):
        await placed(counter.intake, draft)
    assert await world.balance(customer) == UNIT


async def test_a_new_price_beyond_what_the_client_allowed_is_refused(
    counter: Counter, world: World
) -> None:
    customer = await world.reseller(funds="10")
    dear, allowed = (
        replace(counter.draft(customer), max_charge=limit) for limit in (1_199_999, 1_200_000)
    )
    await counter.change(rate=parse_rate("1.20"))
    refused, order = await submit(counter, [dear, allowed])
    assert (type(refused), str(refused)) == (PanelError, "Price changed")
    assert await counter.charges() == {order: 1_200_000}
    await world.assert_sound()


async def test_prices_that_keep_changing_are_each_charged_as_they_were_at_the_commit(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="1000")

    async def place() -> None:
        for _ in range(10):
            await placed(counter.intake, counter.draft(customer))

    async def reprice() -> None:
        for cents in range(91, 121):
            await counter.change(rate=parse_rate(f"{cents / 100:.2f}"))

    await asyncio.gather(*(place() for _ in range(5)), reprice())
    async with pool.acquire() as conn:
        rows = await conn.fetch("select rate, charge, quantity from orders")
        refused = await conn.fetchval("select count(*) from orders where rate <> charge")
    assert len(rows) == 50
    assert refused == 0
    await world.assert_sound()


async def test_a_service_switched_off_meanwhile_is_refused(counter: Counter, world: World) -> None:
    customer = await world.reseller(funds="10")
    draft = counter.draft(customer)
    await counter.change(enabled=False, disabled_reason="gone")
    with pytest.raises(PanelError, match="Incorrect service ID"):
        await placed(counter.intake, draft)
    assert await counter.charges() == {}
    assert await world.balance(customer) == 10 * UNIT


async def test_an_order_that_the_new_limits_forbid_is_refused_alone(
    counter: Counter, world: World
) -> None:
    customer = await world.reseller(funds="10")
    drafts = [counter.draft(customer, 100), counter.draft(customer, 500)]
    await counter.change(minimum=200)
    small, large = await submit(counter, drafts)
    assert str(small) == "Quantity less than minimal 200"
    assert set(await counter.charges()) == {large}


async def test_a_caller_that_goes_away_leaves_its_order_committed_once(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="10")

    async def call() -> int:
        return await placed(counter.intake, counter.draft(customer))

    async with pool.acquire() as conn:
        # The balance is held, so that the group is under way and cannot end.
        await conn.execute("begin")
        await conn.execute("select from balance for update")
        caller = asyncio.create_task(call())
        await eventually(lambda: _someone_waits(pool))
        caller.cancel()
        await asyncio.wait([caller])
        await conn.execute("commit")
    await counter.intake.finish()
    assert caller.cancelled()
    assert list((await counter.charges()).values()) == [900_000]
    assert await world.balance(customer) == 10 * UNIT - 900_000
    await world.assert_sound()


async def _someone_waits(pool: Pool) -> bool:
    async with pool.acquire() as conn:
        return bool(
            await conn.fetchval(
                "select count(*) from pg_stat_activity"
                " where wait_event_type = 'Lock' and datname = current_database()"
            )
        )


async def test_a_group_that_the_database_loses_charges_nobody_and_the_next_one_works(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="10")
    async with pool.acquire() as conn:
        await conn.execute("begin")
        await conn.execute("select from balance for update")
        group = asyncio.create_task(submit(counter, [counter.draft(customer)] * 3))
        await eventually(lambda: _someone_waits(pool))
        await conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        )
        answers = await group
        await conn.execute("commit")
    assert all(isinstance(answer, GroupFailed) for answer in answers)
    assert await counter.charges() == {}
    order = await placed(counter.intake, counter.draft(customer))
    assert set(await counter.charges()) == {order}
    await world.assert_sound()


async def test_no_order_id_is_given_twice_by_intakes_of_several_processes(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="1000")
    intakes = [
        Intake(pool, counter.catalogue, lambda _: None, Receipts(), NO_SPOOL, largest=5)
        for _ in range(3)
    ]
    answers = await asyncio.gather(
        *(placed(intakes[n % 3], counter.draft(customer, 10)) for n in range(300))
    )
    assert len(set(answers)) == 300
    assert all(0 < answer < 2**31 for answer in answers)


async def test_further_parameters_are_kept_as_given(
    counter: Counter, world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="10")
    provider = await world.provider("http://127.0.0.1:9/x", name="other")
    service = await world.service(provider, type="Custom Comments", minimum=1)
    async with pool.acquire() as conn:
        await counter.catalogue.refresh(conn)
    comments = "“wow” 🙂\nsecond\\line"
    draft = draft_order(
        counter.catalogue.current.services[service],
        {"link": _LINK, "comments": comments},
        reseller_id=customer.id,
        currency="USD",
        request_id="r-1",
    )
    order = await placed(counter.intake, draft)
    async with pool.acquire() as conn:
        kept = await conn.fetchval("select parameters from orders where id = $1", order)
    assert json.loads(kept) == {"comments": comments}


async def test_a_balance_that_somebody_holds_delays_nobody_else_for_long(
    counter: Counter, world: World, pool: Pool
) -> None:
    held, free = await world.reseller("held"), await world.reseller("free")
    async with pool.acquire() as conn, transaction(conn):
        await conn.execute("select 1 from balance where reseller_id = $1 for update", held.id)
        drafts = [counter.draft(held, 100), counter.draft(free, 100), counter.draft(held, 100)]
        answers = await asyncio.gather(*map(counter.intake.submit, drafts), return_exceptions=True)
    assert [isinstance(answer, GroupFailed) for answer in answers] == [True, False, True]
    await world.assert_sound()


@pytest.mark.usefixtures("loud")
async def test_a_group_that_waited_in_vain_for_a_balance_names_its_resellers(
    counter: Counter, world: World, pool: Pool
) -> None:
    held, free = await world.reseller("held"), await world.reseller("free")
    async with pool.acquire() as conn, transaction(conn):
        await conn.execute("select 1 from balance where reseller_id = $1 for update", held.id)
        drafts = [counter.draft(free, 100), counter.draft(held, 100), counter.draft(held, 100)]
        with structlog.testing.capture_logs() as logs:
            await asyncio.gather(*map(counter.intake.submit, drafts), return_exceptions=True)
    [line] = [line for line in logs if line["event"] == "intake.balance_locked"]
    assert (line["log_level"], line["reseller_id"]) == ("warning", [held.id, free.id])


async def test_orders_of_one_process_are_numbered_upwards_from_one(
    counter: Counter, world: World
) -> None:
    customer = await world.reseller(funds="1000")
    numbers = [await placed(counter.intake, counter.draft(customer, 10)) for _ in range(400)]
    assert numbers == list(range(1, 401))
