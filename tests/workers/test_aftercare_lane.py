"""The aftercare lane as the gateway runs it: through stops, and panels that fall silent."""

from gateway.store import providers
from schemas.aftercare import RefillState
from tests.conftest import OpenGateway, eventually
from tests.orders.aftercare import Aftercare
from tests.orders.line import faulty, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import World


async def _states(care: Aftercare) -> dict[str, int]:
    rows = await care.line.pool.fetch("select state, count(*) from refill group by state")
    return {row["state"]: row["count"] for row in rows}


async def test_an_orderly_stop_leaves_no_refill_in_doubt(
    world: World, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    async with open_line(world, sandbox) as line:
        care = Aftercare(line)
        orders = await care.completed(*[faulty(name=str(n)) for n in range(20)])
        assert len((await care.request(*orders)).made) == 20
        await care.fail("refill", "slow-after:200", times=20)
        before = 0
        for _ in range(2):
            async with open_gateway():

                async def more(than: int = before) -> bool:
                    return (await _states(care)).get(RefillState.PLACED, 0) > than

                await eventually(more)
            states = await _states(care)
            assert set(states) <= {RefillState.PLACED, RefillState.REQUESTED}
            before = states[RefillState.PLACED]
            assert await care.calls("refill") == before
        await world.assert_sound()


async def test_a_panel_that_answers_nonsense_does_not_freeze_all_refills(
    world: World, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    async with open_line(world, sandbox) as line:
        care = Aftercare(line)
        orders = await care.completed(*[faulty(name=str(n)) for n in range(30)])
        await care.request(*orders)
        await care.fail("refill", "html-before", times=30)
        async with open_gateway():

            async def in_doubt() -> bool:
                return (await _states(care)).get(RefillState.UNKNOWN, 0) >= 3

            await eventually(in_doubt)
            assert (await _states(care))[RefillState.REQUESTED] >= 20


async def test_a_panel_that_answers_nonsense_is_asked_to_cancel_until_it_answers(
    world: World, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    async with open_line(world, sandbox) as line:
        care = Aftercare(line)
        [order] = await line.placed(faulty("stall"))
        await line.pool.execute("update orders set next_at = now()")
        await care.fail("cancel", "html-before", times=2)
        await care.cancel(order)
        async with open_gateway():

            async def canceled() -> bool:
                return (await line.told(order))[0] == "Canceled"

            await eventually(canceled)
        assert await care.calls("cancel") == 3
        assert await line.spent() == 0
        await world.assert_sound()


async def test_refills_wait_while_the_account_is_paused_and_cancellations_do_not(
    world: World, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    async with open_line(world, sandbox) as line:
        care = Aftercare(line)
        [done] = await care.completed(faulty(name="done"))
        [running] = await line.placed(faulty("stall"))
        await care.refill(done)
        await care.cancel(running)
        async with line.pool.acquire() as conn:
            await providers.set_provider_paused(conn, line.provider.id, "they are moving house")
        await line.pool.execute("update orders set next_at = now() where next_at < 'infinity'")
        async with open_gateway():

            async def canceled() -> bool:
                return (await line.told(running))[0] == "Canceled"

            await eventually(canceled)
            assert await _states(care) == {RefillState.REQUESTED: 1}
            async with line.pool.acquire() as conn:
                await providers.set_provider_paused(conn, line.provider.id, None)

            async def asked() -> bool:
                return await _states(care) == {RefillState.PLACED: 1}

            await eventually(asked)
        assert (await care.calls("refill"), await care.calls("cancel")) == (1, 1)
