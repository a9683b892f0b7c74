"""Metrics and probes: on the internal listener, and without anything that should stay private."""

import re

from aiohttp.test_utils import TestClient, TestServer

from gateway.web.internal import internal_app
from tests.web.desk import Desk, Request, form


async def get(desk: Desk, path: str) -> tuple[int, str]:
    """Status and text of one page of the internal listener."""
    async with desk.session.get(desk.gateway.internal_url + path) as answer:
        return answer.status, await answer.text()


async def counted(desk: Desk) -> dict[tuple[str, str], float]:
    """Calls of the panel API by action and outcome, as the metrics have them."""
    _, text = await get(desk, "/metrics")
    line = r'^smm_requests_total\{action="(\w+)",outcome="(\w+)"\} (\S+)$'
    lines = re.findall(line, text, re.MULTILINE)
    return {(action, outcome): float(number) for action, outcome, number in lines}


async def test_a_running_gateway_is_alive_and_ready(desk: Desk) -> None:
    assert await get(desk, "/healthz") == (200, '{"ok": true}')
    assert await get(desk, "/readyz") == (200, '{"ready": true, "missing": [], "degraded": []}')


async def test_the_panel_api_is_not_served_to_operators(desk: Desk) -> None:
    assert (await get(desk, "/api/v2"))[0] == 404


async def test_calls_are_counted_by_action_and_outcome(desk: Desk) -> None:
    before = await counted(desk)
    await desk.call("balance")
    await desk.call("multi_status", orders="$OWN")
    await desk.call("drop tables")
    await desk.ask(Request(form({"key": "wrong", "action": "services"})))
    after = await counted(desk)
    grown = {pair: after[pair] - before.get(pair, 0) for pair in after}
    assert {pair: number for pair, number in grown.items() if number} == {
        ("balance", "answered"): 1,
        ("status", "answered"): 1,
        ("none", "refused"): 1,
        ("services", "refused"): 1,
    }


async def test_metrics_name_no_key_link_reseller_or_order(desk: Desk) -> None:
    link = "https://private.example/profile"
    answer = await desk.call("add", service="$DEFAULT", link=link, quantity="50")
    await desk.settled()
    await desk.call(link, key="$KEY")
    _, text = await get(desk, "/metrics")
    assert "smm_adds_total" in text
    for secret in (desk.customer.key, "private.example", desk.customer.name, desk.sandbox.key):
        assert secret not in text
    assert f'"{answer.json()["order"]}"' not in text


async def test_the_log_names_no_key_and_no_link(desk: Desk) -> None:
    """After all that this folder's tests did so far, at debug level."""
    await desk.call("add", service="$DEFAULT", link="https://private.example/", quantity="50")
    await desk.settled()
    printed = desk.printed()
    assert "intake.committed" in printed
    for secret in (desk.customer.key, desk.names["RIVAL_KEY"], desk.sandbox.key):
        assert secret not in printed


async def test_workers_that_listen_everywhere_are_where_the_supervisor_was_found() -> None:
    async def missing() -> list[str]:
        return []

    there = {1: "0.0.0.0:4001", 2: "[::]:4002", 3: "127.0.0.1:4003"}

    async def page() -> bytes:
        return b""

    app = internal_app(page, missing, workers=lambda: there)
    async with TestClient(TestServer(app)) as client:
        found = await (await client.get("/workers", headers={"Host": "gw.example:9"})).json()
    places = [row["targets"] for row in found]
    assert places == [["gw.example:4001"], ["gw.example:4002"], ["127.0.0.1:4003"]]
