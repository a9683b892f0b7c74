"""Pages by which operators work: what each form changes, once, for whom, and who sees names."""

import csv
import io
import re
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.resellers import accounts
from gateway.resellers.keys import is_ours
from gateway.store.connection import Pool
from schemas.operators import Role
from schemas.resellers import Reseller
from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.web.ops.client import Answer, OperatorClient
from tests.web.ops.conftest import OPS, SignedIn, sign_in_operator
from tests.world import Customer, World

_PAGES = (
    "/ops/resellers",
    "/ops/resellers/1",
    "/ops/providers",
    "/ops/providers/1",
    "/ops/services",
    "/ops/services/1",
    "/ops/speed",
    "/ops/reports",
)
_FOR_MANAGERS = ("/ops/changes", "/ops/prices?percent=40", "/ops/import", "/ops/confirmations")


@pytest.fixture
async def customer(world: World, sandbox: SandboxProcess) -> Customer:
    """A reseller, and a panel with all its services."""
    await world.sandbox(sandbox)
    return await world.reseller("acme", funds="100")


async def _twice(client: OperatorClient, page: str, path: str, **fields: str) -> Answer:
    """Send the same form of a page two times; the second answer."""
    opened = await client.get(page)
    form = {"token": opened.token, "request": f"twice {path}"} | fields
    first = await client.post(path, form)
    assert first.status in (200, 303), first.words
    return await client.post(path, form)


async def _account(pool: Pool, name: str = "acme") -> Reseller:
    async with pool.acquire() as conn:
        return await accounts.find_reseller(conn, name)


async def _acts(pool: Pool, action: str) -> int:
    return int(
        await pool.fetchval("select count(*) from operator_action where action = $1", action)
    )


async def test_every_page_shows_what_there_is(customer: Customer, signed_in: SignedIn) -> None:
    client = await signed_in("ada", Role.OWNER)
    for path in (*_PAGES, *_FOR_MANAGERS, "/ops/bulk", "/ops/jobs"):
        answer = await client.get(path)
        assert answer.status == 200, f"{path}: {answer.words[:300]}"


async def test_a_credit_moves_money_once_and_needs_a_reason(
    customer: Customer, pool: Pool, world: World, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    page = f"/ops/resellers/{customer.id}"
    form = {"amount": "12.50", "reason": "bank transfer 17"}
    await client.submit(page, f"{page}/credit", amount="12.50", request="r0")
    assert "say why" in (await client.get(page)).words.casefold()
    before = (await _account(pool)).balance
    await _twice(client, page, f"{page}/credit", **form)
    answer = await client.get(page)
    assert "done already" in answer.words
    assert (await _account(pool)).balance == before + 12_500_000
    assert "bank transfer 17" in answer.words
    await world.assert_sound()


async def test_an_adjustment_takes_no_more_than_there_is(
    customer: Customer, pool: Pool, world: World, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    page = f"/ops/resellers/{customer.id}"
    await _twice(client, page, f"{page}/adjust", amount="-30", reason="credited twice")
    assert (await _account(pool)).balance == 70_000_000
    await client.submit(page, f"{page}/adjust", amount="-71", reason="too much", request="r2")
    assert "only 70" in (await client.get(page)).words
    assert (await _account(pool)).balance == 70_000_000
    await world.assert_sound()


async def test_a_large_credit_waits_for_another_operator(
    customer: Customer, pool: Pool, open_gateway: OpenGateway
) -> None:
    async with AsyncExitStack() as stack:
        limits = {"confirm_above": "50"}
        gateway = await stack.enter_async_context(open_gateway(ops=OPS, operators=limits))
        ada, bo = [
            await stack.enter_async_context(
                sign_in_operator(pool, gateway.console_url, name, Role.MANAGER)
            )
            for name in ("ada", "bo")
        ]
        page, waiting = f"/ops/resellers/{customer.id}", "/ops/confirmations"
        await ada.submit(page, f"{page}/credit", amount="80", reason="a transfer", request="r1")
        assert (await _account(pool)).balance == 100_000_000
        await ada.submit(waiting, f"{waiting}/1", word="confirm", request="r2")
        assert "another operator" in (await ada.get(waiting)).words
        await _twice(bo, waiting, f"{waiting}/1", word="confirm")
        assert (await _account(pool)).balance == 180_000_000


async def test_terms_suspension_and_a_price_of_its_own_are_set(
    customer: Customer, pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    page = f"/ops/resellers/{customer.id}"
    terms = {"credit_limit": "25", "limit": "20/s", "duplicates": "allow", "post_only": "yes"}
    await _twice(client, page, f"{page}/terms", reason="agreed", text_ids="no", **terms)
    changed = await _account(pool)
    assert (changed.floor, changed.request_limit, changed.post_only) == (-25_000_000, 20, True)
    await _twice(client, page, f"{page}/suspend", reason="chargeback")
    assert (await _account(pool)).suspended
    await client.submit(page, f"{page}/resume", reason="settled", request="r3")
    assert not (await _account(pool)).suspended
    await client.submit(page, f"{page}/price", markup="12.5", reason="volume", request="r4")
    assert "12.5 %" in (await client.get(page)).words
    await client.submit(page, f"{page}/price", markup="", reason="over", request="r5")
    assert "as everybody" in (await client.get(page)).words


async def test_a_key_is_shown_once_and_ends_when_it_is_revoked(
    customer: Customer, pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    page = f"/ops/resellers/{customer.id}"
    form = {"scope": "read", "networks": "203.0.113.0/24", "expires": "90d", "reason": "new site"}
    opened = await client.get(page)
    first = await client.post(f"{page}/keys", {"token": opened.token, "request": "k"} | form)
    again = await client.post(f"{page}/keys", {"token": opened.token, "request": "k"} | form)
    keys = re.findall(r"smm_[0-9A-Za-z]{46}", first.text)
    assert len(keys) == 1
    assert is_ours(keys[0])
    assert again.status == 303
    shown = await client.get(page)
    assert keys[0] not in shown.text
    assert await pool.fetchval("select count(*) from api_key") == 2
    await _twice(client, page, f"{page}/keys/2/revoke", reason="leaked")
    assert await pool.fetchval("select revoked_at from api_key where id = 2") is not None
    assert await _acts(pool, "key.revoked") == 1


async def test_looking_as_a_reseller_changes_nothing_and_is_logged(
    customer: Customer, pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("sam", Role.SUPPORT)
    page = f"/ops/resellers/{customer.id}"
    answer = await client.submit("/ops/account", f"{page}/view")
    assert answer.status == 200
    assert "100 USD" in answer.words or "100.00 USD" in answer.words
    assert 'action="/ops/resellers' not in answer.text
    assert await _acts(pool, "reseller.viewed") == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SUPPORT])
async def test_support_staff_never_read_a_providers_name(
    role: Role, customer: Customer, pool: Pool, gateway: Gateway, signed_in: SignedIn
) -> None:
    [order] = await _order(gateway, customer, 1)
    await pool.execute("update provider set alias = 'Falcon', paused_reason = 'sandbox owes us'")
    client = await signed_in("sam", role)
    paths = [*_PAGES, "/ops/reports?by=provider", "/ops/reports/sheet?by=provider", "/ops/orders"]
    paths.append(f"/ops/orders/{order}")
    if role is Role.SUPPORT:
        paths += ["/ops/bulk", "/ops/jobs"]
    seen = ""
    for path in paths:
        answer = await client.get(path)
        assert answer.status == 200, path
        assert "sandbox" not in answer.text, path
        seen += answer.words
    assert "Falcon" in seen


async def test_a_provider_is_paused_named_and_asked_again(
    customer: Customer, pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    page = "/ops/providers/1"
    await client.submit(page, f"{page}/pause", request="r0")
    assert await pool.fetchval("select paused_reason from provider") is None
    await _twice(client, page, f"{page}/pause", reason="answers late")
    assert await pool.fetchval("select paused_reason from provider") == "answers late"
    assert "answers late" in (await client.get(page)).words
    await client.submit(page, f"{page}/resume", reason="better", request="r1")
    assert await pool.fetchval("select paused_reason from provider") is None
    await client.submit(page, f"{page}/alias", alias="Falcon", reason="for support", request="r2")
    assert await pool.fetchval("select alias from provider") == "Falcon"
    assert await _acts(pool, "provider.paused") == 1


async def test_a_probe_tells_what_a_panel_showed(
    customer: Customer, pool: Pool, sandbox: SandboxProcess, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    answer = await client.submit("/ops/providers/1", "/ops/providers/1/probe", request="r1")
    assert "What the panel showed" in answer.words
    assert sandbox.key not in answer.text
    assert await _acts(pool, "provider.probed") == 1


async def _held_price(pool: Pool) -> int:
    """A price that has risen by more than may be taken over unseen."""
    await pool.execute("update route set basis = cost, cost = cost * 2 where service_id = 1")
    return int(
        await pool.fetchval(
            """insert into catalogue_change (provider_id, service_id, route_id, upstream_service,
                                             kind, before, after, state)
               select provider_id, service_id, id, upstream_service, 'price', '1', '2', 'held'
                 from route where service_id = 1 returning id"""
        )
    )


async def test_a_price_change_is_approved_with_its_effect_seen(
    customer: Customer, pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    change = str(await _held_price(pool))
    shown = await client.get("/ops/changes")
    assert "+100.0 %" in shown.words
    assert "not for sale" in shown.words
    await client.submit("/ops/changes", "/ops/changes", change=change, word="approve", request="r0")
    assert await pool.fetchval("select state from catalogue_change") == "held"
    form = {"change": change, "word": "approve", "reason": "all panels rose"}
    await _twice(client, "/ops/changes", "/ops/changes", **form)
    assert await pool.fetchval("select state from catalogue_change") == "approved"
    assert await pool.fetchval("select basis from route where service_id = 1") is None
    assert await _acts(pool, "change.approved") == 1


async def test_a_service_is_switched_off_and_priced(
    customer: Customer, pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    page = "/ops/services/1"
    await _twice(client, page, page, enabled="off", reason="complaints")
    assert "switched off by an operator" in (await client.get(page)).words
    fixed = {"enabled": "on", "pricing": "fixed", "rate": "9.90"}
    await client.submit(page, page, reason="fixed", request="r2", **fixed)
    assert await pool.fetchval("select rate from service where id = 1") == 9_900_000
    await client.submit(
        page, f"{page}/routes/1", enabled="off", priority="7", weight="3", reason="x", request="r3"
    )
    assert await pool.fetchval("select priority from route where id = 1") == 7
    assert await _acts(pool, "service.changed") == 2


async def _ended(pool: Pool, number: int) -> bool:
    state = await pool.fetchval("select state from background_job where id = $1", number)
    return bool(state in ("done", "failed"))


async def test_a_markup_on_many_services_is_seen_first_and_done_once(
    customer: Customer, pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    where = "/ops/prices?percent=60&search=likes"
    shown = await client.get(where)
    number = len(re.findall(r'data-label="Then"', shown.text))
    assert number > 3
    form = {"percent": "60", "search": "likes", "reason": "a season"}
    await _twice(client, where, "/ops/prices/markup", **form)
    await eventually(lambda: _ended(pool, 1))
    rules = await pool.fetchval("select count(*) from price_rule where markup = 60")
    assert rules == number
    assert await pool.fetchval("select count(*) from background_job") == 1
    job = await client.get("/ops/jobs/1")
    assert f"{number} of {number}" in job.words


async def test_an_import_shows_what_would_come_and_brings_it_in_the_background(
    world: World, pool: Pool, sandbox: SandboxProcess, signed_in: SignedIn
) -> None:
    await world.provider(sandbox.url, sandbox.key, "northwind")
    client = await signed_in("ada", Role.MANAGER)
    where = "/ops/import?provider=northwind&search=likes&markup=25"
    shown = await client.get(where)
    assert await pool.fetchval("select count(*) from service") == 0
    number = len(re.findall(r'data-label="There"', shown.text))
    form = {"provider": "northwind", "search": "likes", "markup": "25", "reason": "to begin"}
    await _twice(client, where, "/ops/import", **form)
    await eventually(lambda: _ended(pool, 1))
    assert await pool.fetchval("select count(*) from service") == number > 3
    assert f"{number} services added" in (await client.get("/ops/jobs/1")).words


async def _order(gateway: Gateway, customer: Customer, number: int) -> list[int]:
    async with PanelClient(gateway.api_url, customer.key) as panel:
        answers: list[dict[str, Any]] = [
            await panel.call("add", service=2, link=f"https://x.example/{n}", quantity=1000)
            for n in range(number)
        ]
    return [answer["order"] for answer in answers]


@pytest.fixture
async def _nothing_is_sent(customer: Customer, pool: Pool) -> None:
    await pool.execute("update provider set paused_reason = 'for the test'")


@pytest.mark.usefixtures("_nothing_is_sent")
async def test_a_bulk_shows_the_money_first_and_pays_it_once(
    customer: Customer, pool: Pool, world: World, gateway: Gateway, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    orders = await _order(gateway, customer, 3)
    spent = 100_000_000 - (await _account(pool)).balance
    shown = await client.get("/ops/bulk?reseller=acme&state=queued&deed=cancel")
    assert all(f"/ops/orders/{order}" in shown.text for order in orders), shown.words
    given = re.search(r'name="orders" value="([0-9,:]+)"', shown.text)
    assert given
    assert spent > 0
    form = {"orders": given[1], "deed": "cancel", "reason": "a bad service"}
    await _twice(client, "/ops/bulk", "/ops/bulk", **form)
    await eventually(lambda: _ended(pool, 1))
    assert (await _account(pool)).balance == 100_000_000
    assert await pool.fetchval("select count(*) from background_job") == 1
    assert "Paid back" in (await client.get("/ops/jobs/1")).words
    await world.assert_sound()


@pytest.mark.usefixtures("_nothing_is_sent")
async def test_a_decision_is_about_the_attempt_that_was_seen(
    customer: Customer, pool: Pool, gateway: Gateway, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.MANAGER)
    [order] = await _order(gateway, customer, 1)
    await pool.execute("update orders set state = 'unknown', attempts = 2, next_at = 'infinity'")
    await pool.execute(
        """insert into attempt (order_id, number, provider_id, upstream_service, state)
           select id, 2, provider_id, upstream_service, 'unknown' from orders"""
    )
    page = f"/ops/orders/{order}"
    shown = re.search(r'name="attempt" value="([0-9]+)"', (await client.get(page)).text)
    assert shown
    assert shown[1] == "2"
    form = {"decision": "canceled", "reason": "it is not there"}
    for number, complaint in ({"attempt": "1"}, "look again"), ({}, "look at the order first"):
        await client.submit(page, f"{page}/resolve", **form, **number)
        assert complaint in (await client.get(page)).words.casefold()
        assert await pool.fetchval("select state from orders") == "unknown"
    await client.submit(page, f"{page}/resolve", **form, attempt=shown[1])
    assert await pool.fetchval("select state from orders") == "canceled"


async def test_support_staff_cannot_refund_in_bulk(
    customer: Customer, pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("sam", Role.SUPPORT)
    page = await client.get("/ops/bulk?reseller=acme&deed=refund")
    assert "of what your role may do" in page.words
    await client.submit(
        "/ops/bulk", "/ops/bulk", orders="1", deed="refund", reason="x", request="r"
    )
    assert await pool.fetchval("select count(*) from background_job") == 0


async def test_a_report_is_the_ledgers_and_its_sheet_runs_no_formula(
    customer: Customer, world: World, pool: Pool, gateway: Gateway, signed_in: SignedIn
) -> None:
    evil = await world.reseller("=cmd|calc", funds="50")
    await _order(gateway, customer, 2)
    await _order(gateway, evil, 1)
    client = await signed_in("vi", Role.VIEWER)
    answer = await client.get("/ops/reports/sheet?by=reseller&zone=Pacific/Auckland")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted(row["reseller"] for row in rows) == ["'=cmd|calc", "acme"]
    charged = await pool.fetchval("select sum(amount) from entry where cause = 'charge'")
    assert sum(int(row["revenue"].replace(".", "")) for row in rows) == charged
    assert (await client.get("/ops/reports?zone=Nowhere/At_All")).status == 200
