"""The console in a real browser: every page, at a desk and on a phone, hostile texts and all."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pyotp
import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page

from gateway.operators import accounts
from gateway.operators.jobs import ask_for_job
from gateway.store.connection import Pool
from gateway.web.ops.access import NEEDS, Open
from schemas.jobs import JobKind
from schemas.operators import Role
from tests.conftest import OpenGateway
from tests.sandbox_process import SandboxProcess
from tests.web.ops.browser import (
    DESKTOP,
    PHONE,
    Scheme,
    Watched,
    needs_chromium,
    open_browser,
    open_page,
    sign_in,
)
from tests.web.ops.conftest import PASSWORD, WARRANT, sign_in_operator
from tests.web.ops.scene import Scene, fill, open_scene
from tests.world import World

pytestmark = needs_chromium

#: What pages are asked for in place of a name in their path.
_SERIOUS = ("serious", "critical")
_PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)' x='",
    "javascript:alert(4)",
    "</textarea></title></style><svg onload=alert(5)>",
    "{{ 7 * 7 }}{% for x in y %}",
    "<iframe srcdoc='<script>parent.alert(6)</script>'></iframe>",
    "<base href=//elsewhere.example><form action=//elsewhere.example>",
)
_HOSTILE = " ".join(_PAYLOADS)


@pytest.fixture
async def scene(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> AsyncIterator[Scene]:
    """A gateway with orders in every state."""
    async with open_scene(world, pool, sandbox, open_gateway) as opened:
        await fill(opened, 24)
        await _ask_for_report(pool)
        yield opened


async def _ask_for_report(pool: Pool) -> None:
    day = datetime.now(UTC).date().isoformat()
    report = {"per": "day", "by": "service", "first": day, "last": day, "time_zone": "UTC"}
    await ask_for_job(pool, JobKind.REPORT, report, WARRANT)


def _pages(scene_ids: dict[str, str]) -> list[str]:
    """Every page that an owner can open, from the table of routes; sheets are no pages."""
    found = []
    for route, need in NEEDS.items():
        method, _, path = route.partition(" ")
        if method == "GET" and isinstance(need, Role) and not path.endswith("/sheet"):
            order = path.startswith("/ops/orders/")
            found.append(re.sub(r"\{\w+\}", scene_ids["id"] if order else "1", path))
    assert not any(isinstance(need, Open) and "/ops/" in p for p in found)
    return found


async def _ids(pool: Pool) -> dict[str, str]:
    order = await pool.fetchval("select min(id) from orders where state = 'review'")
    return {"id": str(order)}


async def _check(watched: Watched, path: str, *, width: int) -> list[str]:
    """What is wrong with a page, in words."""
    page: Page = watched.page
    answer = await page.goto(path)
    assert answer is not None
    wrong = [] if answer.status == 200 else [f"HTTP {answer.status}"]
    across = await page.evaluate("document.documentElement.scrollWidth")
    if across > width:
        wrong.append(f"{across} pixels wide on a screen of {width}")
    found = await Axe().run(page)
    for violation in found.response["violations"]:
        if violation["impact"] in _SERIOUS:
            where = [node["html"][:120] for node in violation["nodes"][:3]]
            wrong.append(f"axe: {violation['id']}: {where}")
    wrong += watched.complaints
    watched.complaints.clear()
    return [f"{path}: {words}" for words in wrong]


async def test_every_page_is_sound_at_a_desk_and_on_a_phone_light_and_dark(
    scene: Scene, pool: Pool
) -> None:
    url = scene.gateway.console_url
    looks: tuple[tuple[tuple[int, int], Scheme], ...] = ((DESKTOP, "light"), (PHONE, "dark"))
    wrong: list[str] = []
    async with sign_in_operator(pool, url, "ada", Role.OWNER) as client, open_browser() as browser:
        for size, scheme in looks:
            async with open_page(browser, url, size=size, scheme=scheme) as watched:
                wrong += await _check(watched, "/ops/sign-in", width=size[0])
                await sign_in(watched.page, "ada", PASSWORD, client.recovery_codes.pop())
                for path in _pages(await _ids(pool)):
                    wrong += await _check(watched, path, width=size[0])
    assert not wrong, "\n".join(wrong)


async def test_an_operator_comes_in_with_a_second_factor_and_decides_about_an_order(
    scene: Scene, pool: Pool
) -> None:
    url = scene.gateway.console_url
    token = await accounts.create_operator(pool, WARRANT, "ada", Role.OWNER)
    ids = await _ids(pool)
    async with open_browser() as browser, open_page(browser, url) as watched:
        page = watched.page
        await page.goto(f"/ops/welcome/{token}")
        await page.get_by_label("Password", exact=False).first.fill(PASSWORD)
        await page.get_by_label("The same again").fill(PASSWORD)
        await page.get_by_role("button", name="Set password").click()
        await page.get_by_text("I cannot scan it").click()
        seed = (await page.locator("details code").inner_text()).replace(" ", "")
        await page.get_by_label("Code", exact=False).last.fill(pyotp.TOTP(seed).now())
        await page.get_by_role("button", name="Confirm").click()
        await page.get_by_role("link", name="I have kept them").click()
        await page.get_by_role("link", name="Review", exact=True).click()
        await page.get_by_role("link", name="Decide").first.click()
        decided = re.search(r"/ops/orders/(\d+)", page.url)
        assert decided is not None
        form = page.locator("#resolve")
        await form.get_by_label("What became of it").select_option("canceled")
        await form.get_by_label("Reason").fill("it is not there, by their support")
        await form.get_by_role("button", name="Decide").click()
        await page.get_by_role("status").wait_for()
        assert "is canceled now" in await page.get_by_role("status").inner_text()
        assert watched.complaints == []
    state = await pool.fetchval("select state from orders where id = $1", int(decided[1]))
    assert (state, int(decided[1]) >= int(ids["id"])) == ("canceled", True)
    await scene.world.assert_sound()


async def test_live_parts_refresh_themselves_and_without_javascript_pages_work_too(
    scene: Scene, pool: Pool
) -> None:
    url = scene.gateway.console_url
    async with sign_in_operator(pool, url, "ada", Role.VIEWER), open_browser() as browser:
        async with open_page(browser, url) as watched:
            await sign_in(watched.page, "ada", PASSWORD)
            before = await pool.fetchval("select count(*) from orders")
            await scene.place(3, seed=9)
            fresh = watched.page.locator(".tile dd", has_text=str(before + 3))
            await fresh.first.wait_for(timeout=20_000)
            assert watched.complaints == []
        async with open_page(browser, url, javascript=False) as watched:
            await sign_in(watched.page, "ada", PASSWORD)
            assert await watched.page.locator("h1").inner_text() == "Overview"
            await watched.page.get_by_role("link", name="Orders", exact=True).click()
            await watched.page.get_by_label("State").select_option("review")
            await watched.page.get_by_role("button", name="Search").click()
            assert await watched.page.locator("tbody tr").count() == 3
            assert watched.complaints == []


#: Columns whose words are ours.
_OURS = (
    "state|role|kind|type|currency|cause|source|destination|action|subject|stage|decision|verdict"
    "|password|wire_status|service_type|refusal|url|notice_tone|from_state|to_state|scope"
    "|duplicates|owner|key_id|upstream_service"
)


async def _poison(pool: Pool) -> int:
    """Write hostile texts wherever resellers, upstreams and operators can have texts written."""
    columns = await pool.fetch(
        f"""select c.table_name as t, c.column_name as c
             from information_schema.columns c join pg_tables p on p.tablename = c.table_name
            where c.table_schema = current_schema() and c.data_type = 'text'
              and c.table_name !~ '^(orders|attempt|order_event)_'
              and c.table_name !~ '^(migration|application_role|version|secret)$'
              and not (c.table_name = 'operator' and c.column_name = 'name')
              and c.column_name !~ '^({_OURS})$'"""
    )
    poisoned = 0
    for row in columns:
        value = "$1 || ' ' || md5(random()::text)"
        statement = f"update {row['t']} t set {row['c']} = {value} where {row['c']} is not null"
        try:
            async with pool.acquire() as conn, conn.transaction():
                await conn.execute(f"alter table {row['t']} disable trigger user")
                done = await conn.execute(statement, _HOSTILE)
                await conn.execute(f"alter table {row['t']} enable trigger user")
        except asyncpg.IntegrityConstraintViolationError:
            continue  # the database itself says what may stand there
        poisoned += int(done.split()[1])
    await pool.execute(
        "update reconciliation set evidence = jsonb_build_object('x', $1::text)", _HOSTILE
    )
    await pool.execute("update attempt set body = $1, reason = $1", _HOSTILE)
    return poisoned


async def test_hostile_texts_in_every_field_are_inert_on_every_page(
    scene: Scene, pool: Pool
) -> None:
    url = scene.gateway.console_url
    async with sign_in_operator(pool, url, "ada", Role.OWNER) as client, open_browser() as browser:
        assert await _poison(pool) > 100
        async with open_page(browser, url) as watched:
            page = watched.page
            await sign_in(page, "ada", PASSWORD, client.recovery_codes.pop())
            shown = 0
            for path in _pages(await _ids(pool)):
                await page.goto(path)
                text = await page.locator("main").inner_text()
                shown += text.count("<script>alert(1)</script>")
                # Nothing of it became an element, and none of our elements got a handler.
                hostile = "img[src=x], iframe, base, svg[onload], [onerror], [onmouseover]"
                assert await page.locator(hostile).count() == 0, path
                links = await page.locator("a").evaluate_all("all => all.map(a => a.href)")
                assert not [one for one in links if one.startswith("javascript:")], path
                computed = re.search(r"(?<![\d.,:-])49(?![\d.,:-])", text)
                assert not computed or "{{ 7 * 7 }}" in text, path
                await page.mouse.move(300, 300)
            assert shown > 10
            assert watched.complaints == []
