"""The panel API v2, which most upstreams speak, read as tolerantly as it is really answered.

A panel that differs by names and places is configured (``panel_options``). Another dialect is a
subclass that overrides an attribute or one of the pure ``encode_*`` and ``parse_*`` methods;
nothing here needs to know of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

from providers.account import ProviderAccount
from providers.batches import MOST_IDS, checked, in_batches, some
from providers.catalogue_reading import read_catalogue
from providers.decoding import Json, Unreadable
from providers.dialects import MULTI_STATUS, Dialect, read_options
from providers.errors import Rejected
from providers.limits import Purpose
from providers.listing_reading import read_listing
from providers.reading import Failure, NoOrderId, find_order_id, read_balance
from providers.refusals import group_of, group_of_number, is_incorrect_request, normalised
from providers.request_reading import read_requests
from providers.status_reading import read_refill_states, read_statuses
from providers.transport import Answer, Transport
from providers.verdicts import content_of, refusal, reply_in, verdict_on_add
from schemas.upstream import (
    OrderListing,
    Placed,
    RefusalGroup,
    Submission,
    UpstreamBalance,
    UpstreamCatalogue,
    UpstreamRefill,
    UpstreamRequest,
    UpstreamStatus,
)


class PanelV2:
    """One account at a panel that speaks the panel API v2.

    Raises:
        BadAccount: on construction, when an option of the account is not known or not valid.
    """

    kind: ClassVar[str] = "panel_v2"
    #: The options of every account at such a panel; an account's own come on top.
    default_options: ClassVar[Mapping[str, object]] = {}

    def __init__(self, account: ProviderAccount, transport: Transport) -> None:
        self._account = account
        self._transport = transport
        self._options = read_options(account, self.default_options)
        self._dialect = Dialect(account, self._options, transport.timeouts)
        taught = self._options.known_refusals.items()
        self._taught = {normalised(text): group for text, group in taught}

    @property
    def status_batch(self) -> int:
        """How many orders one request may ask for."""
        return self._options.status_batch

    @property
    def lists_orders(self) -> bool:
        """Whether the account's operator says that ``orders`` shows all recent ones."""
        return self._options.order_list

    async def services(self) -> UpstreamCatalogue:
        """The catalogue.

        Raises:
            Rejected, Unavailable: also for an answer that is no catalogue.
        """
        answer = await self._ask(Purpose.SERVICES, "services", {})

        def parse(payload: Json) -> UpstreamCatalogue:
            found = self.parse_services(self._dialect.content("services", payload))
            return self._dialect.catalogue(found)

        def read() -> UpstreamCatalogue:
            return content_of(reply_in(answer, self.group_of), parse)

        # Millions of characters take a while, and orders must not wait for them.
        return await asyncio.to_thread(read)

    async def balance(self) -> UpstreamBalance:
        """What the account holds.

        Raises:
            Rejected, Unavailable: as ``Provider`` says.
        """
        answer = await self._ask(Purpose.READ, "balance", {})

        def parse(payload: Json) -> UpstreamBalance:
            found = self.parse_balance(self._dialect.balance_content(payload))
            return self._dialect.balance(found, payload)

        return content_of(reply_in(answer, self.group_of), parse)

    async def add(self, order: Submission) -> Placed:
        """Submit one order, once.

        Raises:
            Rejected, Unavailable: nothing was created.
            Ambiguous: an order may exist.
        """
        fields = self.encode_add(order)
        if not _can_be_encoded(fields):
            raise Rejected("an order text that is no valid Unicode", RefusalGroup.ORDER)
        answer = await self._ask(Purpose.ADD, "add", fields)

        def parse(payload: Json) -> str | NoOrderId:
            return self._dialect.order_id(self.parse_order_id(payload), payload)

        return verdict_on_add(answer, parse, self.group_of)

    async def status(self, ids: Sequence[str]) -> dict[str, UpstreamStatus]:
        """What the panel says of up to 100 orders, one by one where it knows no lists.

        Raises:
            Rejected, Unavailable: when it said nothing of any of them.
            ValueError: for more than 100 ids.
        """
        return await in_batches(checked(ids), self.status_batch, self._some_statuses)

    async def orders(self, limit: int) -> OrderListing:
        """The newest orders of the account.

        Raises:
            Rejected, Unavailable: also for an answer that is no list.
        """
        answer = await self._ask(Purpose.READ, "orders", {"limit": str(limit)})

        def parse(payload: Json) -> OrderListing:
            return self.parse_listing(self._dialect.content("orders", payload))

        return content_of(reply_in(answer, self.group_of, action_optional=True), parse)

    async def refill(self, ids: Sequence[str]) -> dict[str, UpstreamRequest]:
        """Ask for refills; ids of which the answer says nothing are left out.

        Raises:
            Rejected, Unavailable: of which the latter may come after the panel took them.
            ValueError: for more than 100 ids.
        """
        return await self._request("refill", ids) if checked(ids) else {}

    async def refill_status(self, ids: Sequence[str]) -> dict[str, UpstreamRefill]:
        """The state of refills, by refill id.

        Raises:
            Rejected, Unavailable: as ``Provider`` says.
            ValueError: for more than 100 ids.
        """
        size = self._options.refill_status_batch
        return await in_batches(checked(ids), size, self._refill_states_of)

    async def cancel(self, ids: Sequence[str]) -> dict[str, UpstreamRequest]:
        """Ask for cancellations; ids of which the answer says nothing are left out.

        Raises:
            Rejected, Unavailable: of which the latter may come after the panel took them.
            ValueError: for more than 100 ids.
        """
        size = 1 if self._options.cancel_one_by_one else MOST_IDS
        return await in_batches(checked(ids), size, lambda part: self._request("cancel", part))

    async def _ask(self, purpose: Purpose, action: str, fields: Mapping[str, str]) -> Answer:
        call = self._dialect.call(action, fields)
        return await self._transport.send(call, purpose, self._account.key)

    async def _some_statuses(self, ids: Sequence[str]) -> dict[str, UpstreamStatus]:
        """As many orders as fit into a request, one by one where the panel knows no lists."""
        if len(ids) > 1:
            found = await self._statuses_of(ids)
            if found:
                return found
        return await in_batches(ids, 1, lambda one: self._status_of(one[0]))

    async def _statuses_of(self, ids: Sequence[str]) -> dict[str, UpstreamStatus]:
        """The answer to a list; empty where the panel seems to know none."""
        answer = await self._ask(Purpose.READ, MULTI_STATUS, self.encode_ids("order", ids))
        if not answer.text.strip() and answer.status < 300:
            return {}
        reply = reply_in(answer, self.group_of)
        if reply.failure and reply.group:
            return {}  # "Incorrect request", "Order ID is required": it looked for one order
        return content_of(reply, lambda payload: self._read_statuses(payload, ids))

    async def _status_of(self, order_id: str) -> dict[str, UpstreamStatus]:
        answer = await self._ask(Purpose.READ, "status", self.encode_ids("order", [order_id]))
        reply = reply_in(answer, self.group_of, state_expected=True)
        if reply.failure is None:
            return content_of(reply, lambda payload: self._read_statuses(payload, [order_id]))
        if is_incorrect_request(reply.failure.text):
            raise refusal(reply)  # says nothing of the order
        return {order_id: self._dialect.status(UpstreamStatus(None, error=reply.failure.text))}

    def _read_statuses(self, payload: Json, ids: Sequence[str]) -> dict[str, UpstreamStatus]:
        try:
            found = self.parse_statuses(self._dialect.content("status", payload), ids)
        except Unreadable:
            return {}  # nothing where the answers are, as with a list that was not understood
        return {order_id: self._dialect.status(status) for order_id, status in found.items()}

    async def _refill_states_of(self, ids: Sequence[str]) -> dict[str, UpstreamRefill]:
        answer = await self._ask(Purpose.READ, "refill_status", self.encode_ids("refill", ids))
        reply = reply_in(answer, self.group_of, state_expected=True, action_optional=True)
        if reply.failure and len(ids) == 1:
            return {ids[0]: UpstreamRefill(None, error=reply.failure.text)}

        def parse(payload: Json) -> dict[str, UpstreamRefill]:
            return self.parse_refill_states(self._dialect.content("refill_status", payload), ids)

        return some(reply, content_of(reply, parse))

    async def _request(self, action: str, ids: Sequence[str]) -> dict[str, UpstreamRequest]:
        fields = self.encode_cancel(ids) if action == "cancel" else self.encode_ids("order", ids)
        answer = await self._ask(Purpose.ACT, action, fields)
        reply = reply_in(answer, self.group_of, action_optional=True)
        if reply.failure:
            refused = UpstreamRequest(taken=False, error=reply.failure.text)
            return dict.fromkeys(ids, refused)

        def parse(payload: Json) -> dict[str, UpstreamRequest]:
            return self.parse_requests(self._dialect.content(action, payload), ids, action)

        return some(reply, content_of(reply, parse))

    # What a dialect overrides: pure, without a request.

    def encode_add(self, order: Submission) -> dict[str, str]:
        """The fields of an order, under our names."""
        return {**order.parameters, "service": order.service}

    def encode_ids(self, name: str, ids: Sequence[str]) -> dict[str, str]:
        """The fields that name orders or refills."""
        return {name: ids[0]} if len(ids) == 1 else {f"{name}s": ",".join(ids)}

    def encode_cancel(self, ids: Sequence[str]) -> dict[str, str]:
        """The fields of cancel, which the reference knows only in the plural."""
        if self._options.cancel_one_by_one:
            return self.encode_ids("order", ids)
        return {"orders": ",".join(ids)}

    def parse_services(self, payload: Json) -> UpstreamCatalogue:
        """The catalogue in an answer. Raises ``Unreadable`` when there is none."""
        return read_catalogue(payload)

    def parse_balance(self, payload: Json) -> UpstreamBalance:
        """The balance in an answer. Raises ``Unreadable`` when there is none."""
        return read_balance(payload)

    def parse_statuses(self, payload: Json, ids: Sequence[str]) -> dict[str, UpstreamStatus]:
        """The orders of ``ids`` that an answer speaks of."""
        return read_statuses(payload, ids)

    def parse_requests(
        self, payload: Json, ids: Sequence[str], action: str
    ) -> dict[str, UpstreamRequest]:
        """The orders of ``ids`` that an answer to refill or cancel speaks of."""
        return read_requests(payload, ids, action)

    def parse_refill_states(self, payload: Json, ids: Sequence[str]) -> dict[str, UpstreamRefill]:
        """The refills of ``ids`` that an answer speaks of."""
        return read_refill_states(payload, ids)

    def parse_listing(self, payload: Json) -> OrderListing:
        """The list of orders in an answer. Raises ``Unreadable`` when there is none."""
        return read_listing(payload)

    def parse_order_id(self, payload: Json) -> str | NoOrderId:
        """The id of the order that an answer to ``add`` names."""
        return find_order_id(payload)

    def group_of(self, failure: Failure) -> RefusalGroup | None:
        """Whom a refusal concerns; None when its words prove nothing."""
        for text in failure.texts:
            group = self._taught.get(normalised(text)) or group_of(text)
            if group:
                return group
        known = None if failure.number is None else group_of_number(failure.number)
        if known is None and self._options.any_error_is_refusal:
            return RefusalGroup.ORDER
        return known


def _can_be_encoded(fields: Mapping[str, str]) -> bool:
    try:
        "".join(fields.values()).encode()
    except UnicodeEncodeError:
        return False
    return True
