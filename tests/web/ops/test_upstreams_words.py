"""What an upstream says of itself: a panel that names itself wherever it can, and who reads it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from gateway.app import Gateway
from gateway.store.connection import Pool
from schemas.operators import Role
from tests.conftest import eventually
from tests.panel_client import PanelClient
from tests.web.ops.conftest import SignedIn
from tests.world import Customer, World

_NAME = "northwind"
#: What the panel calls itself and its services, and says.
_WORDS = (_NAME, "Northwind", "quokka")


@asynccontextmanager
async def _telltale() -> AsyncIterator[str]:
    """A panel that answers everything with its name, or with a redirect to itself; its address."""

    async def answer(request: web.Request) -> web.Response:
        fields = await request.post()
        if fields.get("service") == "quokka-2":
            return web.Response(status=307, headers={"Location": f"{request.url.origin()}/quokka"})
        if fields.get("service") == "quokka-3":
            return web.json_response({"error": "Bad link"})
        return web.json_response({"error": "Northwind says: ask the quokka"})

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2"
    finally:
        await runner.cleanup()


@pytest.fixture
async def panel() -> AsyncIterator[str]:
    """The address of a panel that tells its name."""
    async with _telltale() as url:
        yield url


@pytest.fixture
async def services(panel: str, world: World, pool: Pool) -> list[int]:
    """Services of the panel, and one of a panel that is not there."""
    provider = await world.provider(panel, name=_NAME)
    gone = await world.provider("http://127.0.0.1:9/api/v2", name="quokka-gone")
    await pool.execute("update provider set alias = 'Falcon ' || id")
    made = [await world.service(provider, upstream_service=f"quokka-{n}") for n in (1, 2, 3)]
    made.append(await world.service(gone, upstream_service="quokka-4"))
    await pool.execute("update service set name = 'Likes', category = 'Instagram'")
    return made


@pytest.fixture
async def orders(
    panel: str,
    services: list[int],
    world: World,
    pool: Pool,
    gateway: Gateway,
    signed_in: SignedIn,
) -> list[int]:
    """Orders that the panels have answered in their own words, which a manager sees."""
    made = await _place(gateway, await world.reseller(), services)
    await eventually(lambda: _tried(pool, len(services)))
    await _trouble(pool, made[0])
    manager = await signed_in("max", Role.MANAGER)
    page = f"/ops/orders/{made[0]}"
    form = {"decision": "canceled", "attempt": "1", "request": "r"}
    form["reason"] = "the quokka has told me"
    await manager.submit(page, f"{page}/resolve", **form)
    pages = [*(f"/ops/orders/{order}" for order in made), "/ops/services", "/ops/services/2"]
    seen = "".join([(await manager.get(page)).words for page in pages])
    for word in (*_WORDS, "has told me", "is gone", urlsplit(panel).netloc):
        assert word in seen, word
    return made


async def _place(gateway: Gateway, customer: Customer, services: list[int]) -> list[int]:
    async with PanelClient(gateway.api_url, customer.key) as client:
        answers = [
            await client.call("add", service=one, link=f"https://x.example/{one}", quantity=100)
            for one in services
        ]
    return [answer["order"] for answer in answers]


async def _tried(pool: Pool, number: int) -> bool:
    done = await pool.fetchval(
        "select count(distinct order_id) from attempt where finished_at is not null"
    )
    return bool(done == number)


async def _trouble(pool: Pool, order: int) -> None:
    """What comes of a panel's words later on: a refill, services and routes that are off."""
    await pool.execute(
        """insert into refill (order_id, reseller_id, provider_id, upstream_order, state, reason)
           select id, reseller_id, provider_id, '1', 'rejected', 'Northwind: not today'
             from orders where id = $1""",
        order,
    )
    await pool.execute(
        """update service set enabled = false, disabled_reason = 'the quokka is not known'
            where id = 1"""
    )
    await pool.execute(
        "update route set enabled = false, disabled_reason = 'quokka is gone' where service_id > 1"
    )


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SUPPORT])
async def test_no_word_of_an_upstream_reaches_viewers_and_support_staff(
    role: Role, panel: str, orders: list[int], signed_in: SignedIn
) -> None:
    client = await signed_in("sam", role)
    paths = [f"/ops/orders/{order}" for order in orders]
    paths += ["/ops", "/ops/orders", "/ops/review", "/ops/services", "/ops/speed", "/ops/reports"]
    paths += [f"/ops/services/{number}" for number in (1, 2, 3, 4)]
    paths += ["/ops/providers", "/ops/providers/1", "/ops/providers/2", "/ops/resellers/1"]
    if role is Role.SUPPORT:
        paths += ["/ops/jobs", "/ops/bulk?reseller=acme&deed=resend"]
    seen = ""
    for path in paths:
        answer = await client.get(path)
        assert answer.status == 200, path
        for word in (*_WORDS, urlsplit(panel).netloc, "127.0.0.1:9"):
            assert word not in answer.words, (path, word)
        seen += answer.words
    assert "Falcon 1" in seen
    assert "refused: the order" in seen


async def _failed(pool: Pool) -> bool:
    state = await pool.fetchval("select state from background_job where id = 1")
    return bool(state == "failed")


@pytest.mark.usefixtures("services")
async def test_support_staff_see_bulk_jobs_and_no_others(pool: Pool, signed_in: SignedIn) -> None:
    manager, support = await signed_in("max", Role.MANAGER), await signed_in("sam", Role.SUPPORT)
    form = {"provider": _NAME, "reason": "to begin", "request": "r"}
    await manager.submit("/ops/import", "/ops/import", **form)
    await eventually(lambda: _failed(pool))
    told = (await manager.get("/ops/jobs/1")).words
    assert _NAME in told
    assert "quokka" in told
    assert "/ops/jobs/1" in (await manager.get("/ops/jobs")).text
    assert "/ops/jobs/1" not in (await support.get("/ops/jobs")).text
    answer = await support.get("/ops/jobs/1")
    assert answer.status == 404
    assert _NAME not in answer.words
    form = {"orders": "1:0", "deed": "cancel", "reason": "a bad service", "request": "s"}
    await support.submit("/ops/bulk", "/ops/bulk", **form)
    assert (await support.get("/ops/jobs/2")).status == 200
    assert "/ops/jobs/2" in (await support.get("/ops/jobs")).text
