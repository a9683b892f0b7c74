"""The provider contract as tests. Subclass ``ProviderConformance`` once for each adapter.

An adapter to a foreign protocol overrides the sample answers; the facts stay the same.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar

import pytest

from providers.account import ProviderAccount
from providers.base import Provider
from providers.errors import Ambiguous, ProviderError, Rejected, Unavailable
from providers.registry import create_provider, is_worked_by_hand
from providers.transport import Transport, metered
from schemas.upstream import RefusalGroup, Submission
from tests.providers.wire import (
    KEY,
    Behaviour,
    Request,
    Upstream,
    answer_bytes,
    hangs,
    resets,
    says,
    sends,
)

ORDER = Submission("7", {"link": "https://example.com/p?a=1&b=ü", "quantity": "250"})

READS: dict[str, Callable[[Provider], Awaitable[object]]] = {
    "services": lambda provider: provider.services(),
    "balance": lambda provider: provider.balance(),
    "status": lambda provider: provider.status(["23501"]),
    "status of several": lambda provider: provider.status(["23501", "23502"]),
    "refill": lambda provider: provider.refill(["23501"]),
    "refill of several": lambda provider: provider.refill(["23501", "23502"]),
    "refill_status": lambda provider: provider.refill_status(["1"]),
    "refill_status of several": lambda provider: provider.refill_status(["1", "2"]),
    "cancel": lambda provider: provider.cancel(["23501"]),
    "cancel of several": lambda provider: provider.cancel(["23501", "23502"]),
    "orders": lambda provider: provider.orders(100),
}

#: Complete answers that hold nothing of what any action asks for.
MEANINGLESS = {
    "empty": "",
    "blank": " \r\n\t",
    "a page": "<!DOCTYPE html><html><title>Just a moment...</title></html>",
    "text": "ok",
    "null": "null",
    "a number": "5",
    "a word": '"ok"',
    "NaN": "NaN",
    "an empty object": "{}",
    "cut off": '{"order":23501',
    "two objects": '{"order":1}{"order":2}',
    "too deep": "[" * 100_000,
    "too long a number": '{"order":' + "9" * 5_000 + "}",
    "another API": '{"result":{"code":0}}',
}

LOST: dict[str, Behaviour] = {
    "reset": resets,
    "closed": sends(b""),
    "silence": hangs,
    "truncated": sends(answer_bytes('{"order":23501,', length=99)),
    "not HTTP": sends(b"220 mail.example ESMTP\r\n\r\n"),
    "oversized": says(b'{"order":23501,' + b" " * 100_000),
}


class ProviderConformance:
    """What every adapter must do. ``kind`` is the adapter under test."""

    kind: ClassVar[str]
    options: ClassVar[Mapping[str, object]] = {}
    #: How an order is sent.
    method: ClassVar[str] = "POST"
    #: An answer to ``add`` that names an order, and its id.
    accepted: ClassVar[tuple[str, str]] = ('{"order":23501}', "23501")
    #: Answers to ``add`` that refuse in known words.
    refusals: ClassVar[Sequence[tuple[str, RefusalGroup]]] = (
        ('{"error":"Bad link"}', RefusalGroup.ORDER),
        ('{"error":"Incorrect service ID"}', RefusalGroup.SERVICE),
        ('{"error":"Invalid API key"}', RefusalGroup.ACCOUNT),
        ('{"error":"Too many requests"}', RefusalGroup.TEMPORARY),
    )
    #: A refusal that nobody has met, which echoes what it was sent.
    unknown_refusal: ClassVar[str] = '{{"error":"Unheard of: {text}"}}'
    #: The state of the orders 23501 and, unasked, 99999; nothing of 23502.
    one_of_two: ClassVar[str] = (
        '{"23501":{"status":"Pending","remains":"1"},"99999":{"status":"Canceled","remains":"0"}}'
    )
    #: The account's newest orders: 23502, which is ``ORDER``, and 23501.
    listing: ClassVar[str] = (
        '[{"order":23502,"service":7,"link":"https://example.com/p?a=1&b=\\u00fc",'
        '"quantity":"250","status":"Pending","date":"2026-03-01 12:00:00"},'
        '{"order":23501,"service":7,"link":"https://example.com/q","quantity":"10"}]'
    )

    def provider(self, upstream: Upstream, transport: Transport) -> Provider:
        account = ProviderAccount("main", upstream.url, KEY, self.options)
        return create_provider(self.kind, account, transport)

    async def failing(self, call: Awaitable[object]) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await call
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.exchange)
        assert KEY not in shown
        return caught.value

    async def test_an_accepted_order_is_placed_with_one_request(self, transport: Transport) -> None:
        body, upstream_id = self.accepted
        async with Upstream(says(body)) as upstream:
            placed = await self.provider(upstream, transport).add(ORDER)
        assert placed.upstream_id == upstream_id
        assert placed.exchange.sent
        assert placed.exchange.body == body
        assert [request.method for request in upstream.requests] == [self.method]

    async def test_orders_never_share_a_connection(self, transport: Transport) -> None:
        async with Upstream(says(self.accepted[0])) as upstream:
            provider = self.provider(upstream, transport)
            await asyncio.gather(*(provider.add(ORDER) for _ in range(5)))
        assert upstream.connections == len(upstream.requests) == 5

    async def test_an_order_does_not_travel_on_a_connection_that_a_read_left_open(
        self, transport: Transport
    ) -> None:
        async with Upstream(says(self.one_of_two, self.accepted[0])) as upstream:
            provider = self.provider(upstream, transport)
            await provider.status(["23501"])
            await provider.add(ORDER)
        assert upstream.connections == 2

    async def test_a_budget_can_count_every_request(self, transport: Transport) -> None:
        async with Upstream(says(self.one_of_two)) as upstream:
            provider = self.provider(upstream, transport)
            with metered() as meter:
                await provider.status(["23501"])
                await provider.status(["23501", "23502"])
        assert meter.requests == len(upstream.requests) >= 2

    async def test_no_request_asks_for_more_orders_than_the_adapter_says(
        self, transport: Transport
    ) -> None:
        async with Upstream(says(self.one_of_two)) as upstream:
            provider = self.provider(upstream, transport)
            assert 1 <= provider.status_batch <= 100
            with metered() as meter:
                await provider.status([str(n) for n in range(23501, 23501 + provider.status_batch)])
        assert meter.requests == 1

    async def test_a_refusal_in_known_words_is_rejected(self, transport: Transport) -> None:
        for body, group in self.refusals:
            async with Upstream(says(body)) as upstream:
                error = await self.failing(self.provider(upstream, transport).add(ORDER))
            assert isinstance(error, Rejected), body
            assert error.group is group, body
            assert len(upstream.requests) == 1

    async def test_a_refusal_in_unknown_words_is_ambiguous(self, transport: Transport) -> None:
        body = self.unknown_refusal.format(text="x")
        async with Upstream(says(body)) as upstream:
            error = await self.failing(self.provider(upstream, transport).add(ORDER))
        assert isinstance(error, Ambiguous)
        assert error.exchange is not None
        assert error.exchange.body == body

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 301, 302, 307, 308])
    async def test_on_add_a_server_error_or_redirect_is_ambiguous_whatever_it_says(
        self, transport: Transport, status: int
    ) -> None:
        for body in (self.accepted[0], self.refusals[0][0], "<h1>Oops</h1>", ""):
            async with Upstream(says(body, status=status)) as upstream:
                error = await self.failing(self.provider(upstream, transport).add(ORDER))
            assert isinstance(error, Ambiguous), body
            assert len(upstream.requests) == 1

    @pytest.mark.parametrize("case", MEANINGLESS)
    async def test_on_add_an_answer_without_meaning_is_ambiguous(
        self, transport: Transport, case: str
    ) -> None:
        async with Upstream(says(MEANINGLESS[case])) as upstream:
            error = await self.failing(self.provider(upstream, transport).add(ORDER))
        assert isinstance(error, Ambiguous)
        assert len(upstream.requests) == 1

    @pytest.mark.parametrize("case", LOST)
    async def test_on_add_a_lost_answer_is_ambiguous_and_nothing_is_sent_again(
        self, impatient: Transport, case: str
    ) -> None:
        async with Upstream(LOST[case]) as upstream:
            error = await self.failing(self.provider(upstream, impatient).add(ORDER))
        assert isinstance(error, Ambiguous)
        assert error.exchange is not None
        assert error.exchange.sent
        assert len(upstream.requests) == upstream.connections == 1

    async def test_on_add_a_refused_connection_is_unavailable(
        self, transport: Transport, closed_port: int
    ) -> None:
        nobody = Upstream(hangs, port=closed_port)
        error = await self.failing(self.provider(nobody, transport).add(ORDER))
        assert isinstance(error, Unavailable)
        assert error.exchange is not None
        assert not error.exchange.sent

    @pytest.mark.parametrize("read", READS)
    async def test_reads_know_no_ambiguity(self, transport: Transport, read: str) -> None:
        for case, body in MEANINGLESS.items():
            async with Upstream(says(body)) as upstream:
                provider = self.provider(upstream, transport)
                try:
                    answer = await READS[read](provider)
                except (Rejected, Unavailable):
                    continue
            # A bare word may be a refusal of a single order; it is never a state or a success.
            assert case == "a word" or not answer, (case, answer)

    @pytest.mark.parametrize("read", READS)
    @pytest.mark.parametrize("case", LOST.keys() - {"oversized"})
    async def test_a_read_that_gets_no_answer_is_unavailable_and_not_repeated(
        self, impatient: Transport, case: str, read: str
    ) -> None:
        async with Upstream(LOST[case]) as upstream:
            error = await self.failing(READS[read](self.provider(upstream, impatient)))
        assert isinstance(error, Unavailable)
        assert len(upstream.requests) == 1

    @pytest.mark.parametrize("read", READS)
    async def test_no_redirect_is_followed(self, transport: Transport, read: str) -> None:
        async with Upstream(says(self.accepted[0])) as elsewhere:
            location = {"Location": elsewhere.url}
            async with Upstream(says("", status=301, headers=location)) as upstream:
                error = await self.failing(READS[read](self.provider(upstream, transport)))
        assert isinstance(error, Unavailable)
        assert elsewhere.url in str(error)
        assert elsewhere.connections == 0

    async def test_the_key_stays_out_of_everything_that_can_be_shown(
        self, transport: Transport
    ) -> None:
        body = self.unknown_refusal.format(text=f"key={KEY}")
        for status in (200, 401, 500):
            async with Upstream(says(body, status=status)) as upstream:
                provider = self.provider(upstream, transport)
                await self.failing(provider.add(ORDER))
                for read in READS.values():
                    try:
                        shown = repr(await read(provider))
                    except ProviderError as error:
                        shown = f"{error!r} {error} {error.exchange!r}"
                    assert KEY not in shown
                assert KEY not in repr(provider)

    async def test_status_speaks_only_of_what_was_asked_and_answered(
        self, transport: Transport
    ) -> None:
        async with Upstream(says(self.one_of_two)) as upstream:
            found = await self.provider(upstream, transport).status(["23501", "23502"])
        assert list(found) == ["23501"]

    async def test_a_list_of_orders_is_read_or_refused_and_never_guessed(
        self, transport: Transport
    ) -> None:
        async with Upstream(says(self.listing)) as upstream:
            provider = self.provider(upstream, transport)
            assert isinstance(provider.lists_orders, bool)
            with metered() as meter:
                found = await provider.orders(50)
        assert meter.requests == len(upstream.requests) == 1
        assert [order.upstream_id for order in found.orders] == ["23502", "23501"]
        first = found.orders[0]
        assert (first.service, first.link, first.quantity) == ("7", ORDER.parameters["link"], 250)
        assert found.unread == 0

    async def test_asking_for_nothing_asks_nobody(self, transport: Transport) -> None:
        async with Upstream(says("{}")) as upstream:
            provider = self.provider(upstream, transport)
            for ask in (provider.status, provider.refill, provider.refill_status, provider.cancel):
                assert await ask([]) == {}
        assert upstream.connections == 0

    async def test_a_cancellation_reaches_the_caller(self, transport: Transport) -> None:
        arrived = asyncio.Event()

        async def never_answer(request: Request, writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await asyncio.Event().wait()

        async with Upstream(never_answer) as upstream:
            task = asyncio.ensure_future(self.provider(upstream, transport).add(ORDER))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


class ByHandConformance:
    """What an adapter must do whose upstream is people: no request leaves, nothing is guessed."""

    kind: ClassVar[str]

    def provider(self, transport: Transport) -> Provider:
        assert is_worked_by_hand(self.kind)
        return create_provider(self.kind, ProviderAccount("main", "", ""), transport)

    async def test_every_order_is_placed_under_an_id_of_its_own(self, transport: Transport) -> None:
        provider = self.provider(transport)
        placed = [await provider.add(ORDER) for _ in range(100)]
        assert len({one.upstream_id for one in placed}) == 100
        assert all(1 <= len(one.upstream_id) <= 64 for one in placed)

    async def test_nothing_is_known_of_orders_and_refills(self, transport: Transport) -> None:
        provider = self.provider(transport)
        assert await provider.status(["m-1", "m-2"]) == {}
        assert await provider.refill_status(["1"]) == {}

    async def test_what_nobody_would_hear_of_is_refused(self, transport: Transport) -> None:
        provider = self.provider(transport)
        for ask in (provider.refill, provider.cancel):
            answers = await ask(["m-1", "m-2"])
            assert set(answers) == {"m-1", "m-2"}
            assert not any(answer.taken for answer in answers.values())
            assert await ask([]) == {}

    async def test_there_is_neither_a_catalogue_nor_a_balance(self, transport: Transport) -> None:
        provider = self.provider(transport)
        assert not provider.lists_orders
        for read in (provider.services, provider.balance, lambda: provider.orders(10)):
            with pytest.raises(Unavailable, match="by hand"):
                await read()
