"""A provider without funds or with a bad key: its orders wait, none is canceled."""

from gateway.orders.dispatch import freeze_forgotten
from gateway.store import providers
from gateway.store.connection import Pool
from schemas.money import UNIT
from schemas.orders import OrderState
from tests.conftest import OpenGateway, eventually
from tests.orders.line import Line, faulty, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import World

_PRICE = 1_050_000


async def _states(line: Line) -> dict[str, int]:
    async with line.pool.acquire() as conn:
        rows = await conn.fetch("select state, count(*) from orders group by 1")
    return {row[0]: row[1] for row in rows}


async def _is_held(pool: Pool) -> bool:
    async with pool.acquire() as conn:
        [record] = await providers.list_providers(conn)
    return record.holds > 0


async def _placed(line: Line, number: int) -> bool:
    return (await _states(line)).get(OrderState.PLACED, 0) == number


async def test_orders_wait_while_the_account_has_no_funds_and_go_on_after_a_top_up(
    line: Line, open_gateway: OpenGateway
) -> None:
    await line.panel.control("balance", {"amount": "2"})
    links = [faulty(name=str(n)) for n in range(12)]
    made = await line.place(*links)
    async with open_gateway():
        await eventually(lambda: _placed(line, 2))
        await eventually(lambda: _is_held(line.pool))
        states = await _states(line)
        assert set(states) <= {OrderState.PLACED, OrderState.QUEUED, OrderState.SENDING}
        assert await line.spent() == len(made) * _PRICE
        await line.panel.control("balance", {"amount": "1000"})
        await eventually(lambda: _placed(line, len(made)))

        async def free() -> bool:
            # A lane learns of a hold within a second; the next order taken after that ends it.
            made.extend(await line.place(faulty(name="next")))
            await eventually(lambda: _placed(line, len(made)))
            return not await _is_held(line.pool)

        await eventually(free)
    assert [line.upstream_orders(link) for link in links] == [1] * len(links)
    assert await line.spent() == len(made) * _PRICE
    await line.world.assert_sound()


async def test_orders_wait_while_the_key_is_bad_and_go_on_with_a_good_one(
    line: Line, open_gateway: OpenGateway
) -> None:
    await line.world.set_key(line.provider, "wrong")
    made = await line.place(*[faulty(name=str(n)) for n in range(3)])
    async with open_gateway():
        await eventually(lambda: _is_held(line.pool))
        assert await line.spent() == len(made) * _PRICE
        await line.world.set_key(line.provider, line.panel.key)
        await eventually(lambda: _placed(line, len(made)))
    await line.world.assert_sound()


async def test_one_account_on_hold_does_not_stop_another(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    async with open_line(world, sandbox) as line:
        broke = await world.provider(sandbox.url, "wrong", "broke")
        stuck = await world.service(broke, upstream_service="101")
        async with pool.acquire() as conn:
            await line.catalogue.refresh(conn)
        [good] = await line.place(faulty())
        held = await _order_of(line, stuck)
        async with open_gateway():
            await eventually(lambda: _placed(line, 1))

            async def on_hold() -> bool:
                async with pool.acquire() as conn:
                    record = await providers.get_provider(conn, "broke")
                return record is not None and record.holds > 1

            await eventually(on_hold)
            [free] = await line.place(faulty(name="more"))
            await eventually(lambda: _placed(line, 2))
        rows = await line.rows()
        assert {rows[good]["state"], rows[free]["state"]} == {OrderState.PLACED}
        assert rows[held]["state"] == OrderState.QUEUED
        assert rows[held]["refunded"] == 0
        await world.assert_sound()


async def _order_of(line: Line, service_id: int) -> int:
    service = line.catalogue.current.services[service_id]
    async with line.pool.acquire() as conn:
        upstream = await conn.fetchval(
            "update route set upstream_service = 'stuck' where service_id = $1"
            " returning upstream_service",
            service.id,
        )
        await line.catalogue.refresh(conn)
    [number] = await line.place(faulty(name="stuck"), upstream=upstream)
    return number


async def test_a_hold_names_its_reason_and_grows_while_it_lasts(line: Line) -> None:
    await line.place(*[faulty("no-funds", name=str(n)) for n in range(2)])
    await line.send(limit=1)
    async with line.pool.acquire() as conn:
        [first] = await providers.list_providers(conn)
    assert first.held_reason == "Not enough funds on balance"
    assert first.held_until is not None
    assert first.holds == 1


async def test_a_running_gateway_never_sends_or_refunds_what_is_unknown(
    line: Line, open_gateway: OpenGateway
) -> None:
    lost = [faulty("reset-after", name="a"), faulty("hang-before", name="b")]
    fine = [faulty(name=str(n)) for n in range(5)]
    unknown = await line.place(*lost)
    await line.place(*fine)
    async with open_gateway(dispatch={"timeout_ms": 600, "connect_timeout_ms": 200}):

        async def settled() -> bool:
            return (await _states(line)) == {OrderState.UNKNOWN: 2, OrderState.PLACED: 5}

        await eventually(settled)
        await line.panel.control("advance", {"work": 1})

        async def done() -> bool:
            return (await _states(line)).get(OrderState.COMPLETED) == 5

        await eventually(done)
        await freeze_forgotten(line.pool)
    rows = await line.rows()
    assert [(rows[n]["state"], rows[n]["attempts"], rows[n]["refunded"]) for n in unknown] == [
        (OrderState.UNKNOWN, 1, 0)
    ] * 2
    assert [line.upstream_requests(link) for link in lost] == [1, 1]
    assert await line.spent() == 7 * _PRICE
    assert await line.spent() < 100 * UNIT
    await line.world.assert_sound()
