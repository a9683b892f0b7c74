"""Answers that upstreams really give, and how each must be read.

The answers lie beside the repository, one JSON object a line. Each line has exactly one
expectation here; a line without one fails, and so does an expectation without a line.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from providers.account import ProviderAccount
from providers.base import Provider
from providers.errors import ProviderError, Rejected
from providers.registry import create_provider
from providers.transport import Transport
from schemas.upstream import Placed, Submission
from tests.providers.quirk_expectations import EXPECTED, Asked, Fails
from tests.providers.wire import KEY, Upstream, says

QUIRKS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "quirks.jsonl"
ORDER = Submission("1", {"link": "https://example.com/p", "quantity": "100"})
WHY_SKIPPED = f"THE REGRESSION DATA IS ABSENT: {QUIRKS} does not exist, no quirk was checked"

Ids = Sequence[str]
METHODS: dict[str, Callable[[Provider, Ids], Awaitable[object]]] = {
    "services": lambda provider, ids: provider.services(),
    "balance": lambda provider, ids: provider.balance(),
    "add": lambda provider, ids: provider.add(ORDER),
    "status": lambda provider, ids: provider.status(ids),
    "refill": lambda provider, ids: provider.refill(ids),
    "refill_status": lambda provider, ids: provider.refill_status(ids),
    "cancel": lambda provider, ids: provider.cancel(ids),
}


def load() -> dict[str, dict[str, Any]]:
    if not QUIRKS.exists():
        return {}
    rows = [json.loads(line) for line in QUIRKS.read_text("utf-8").splitlines() if line.strip()]
    assert len({row["id"] for row in rows}) == len(rows), "an id occurs twice"
    return {row["id"]: row for row in rows}


LINES = load()
needs_data = pytest.mark.skipif(not LINES, reason=WHY_SKIPPED)


def questions() -> list[tuple[str, str]]:
    """Every line with every method that it answers."""
    pairs = []
    for quirk, row in LINES.items():
        methods = METHODS if row["action"] == "*" else [row["action"]]
        pairs += [(quirk, method) for method in methods]
    return pairs


@needs_data
def test_every_line_has_an_expectation_and_every_expectation_a_line() -> None:
    assert LINES.keys() == EXPECTED.keys()


@needs_data
@pytest.mark.parametrize(("quirk", "method"), questions())
async def test_the_answer_is_read_as_it_must_be(
    quirk: str, method: str, transport: Transport
) -> None:
    row = LINES[quirk]
    asked = EXPECTED[quirk]
    if isinstance(asked, dict):
        asked = asked[method]
    if not isinstance(asked, Asked):
        asked = Asked(("77",), asked)
    headers = {"Location": "https://www.panel.example/api/v2"} if row["http"] == 301 else None
    answer = says(
        row["body"],
        *asked.more,
        status=row["http"],
        content_type=row["content_type"],
        headers=headers,
    )
    async with Upstream(answer) as upstream:
        provider = create_provider(
            "panel_v2", ProviderAccount("main", upstream.url, KEY), transport
        )
        await check(METHODS[method](provider, asked.ids), asked.outcome)
    assert len(upstream.requests) == asked.requests
    assert all(request.form["action"] == method for request in upstream.requests)


async def check(call: Awaitable[object], outcome: object) -> None:
    if isinstance(outcome, Fails):
        with pytest.raises(ProviderError) as caught:
            await call
        assert type(caught.value) is outcome.error, caught.value
        if isinstance(caught.value, Rejected):
            assert caught.value.group is outcome.group
        assert caught.value.exchange is not None
        return
    found = await call
    assert (found.upstream_id if isinstance(found, Placed) else found) == outcome
