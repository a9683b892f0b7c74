"""The actions ``refill``, ``refill_status`` and ``cancel`` of the panel API."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TypeAlias

from gateway.orders.cancellations import request_cancels
from gateway.orders.refills import request_refills, told_refills
from gateway.store.connection import Pool
from gateway.web.fields import Fields, every
from schemas import panel_v2 as wire
from schemas.aftercare import REFILL_WORDS
from schemas.config import RefillSettings
from schemas.panel_v2 import AskedIds, PanelError
from schemas.resellers import Access

#: What an answer says of each id, by the id as the client wrote it.
Results: TypeAlias = Mapping[str, object]


class AftercareApi:
    """Answers what resellers ask of orders that they have placed, from our own database.

    ``wake`` is told the provider accounts that have something to do. Every method raises
    ``PanelError`` for a call that is refused as a whole.
    """

    def __init__(
        self, pool: Pool, settings: RefillSettings, wake: Callable[[Iterable[int]], None]
    ) -> None:
        self._pool = pool
        self._wait = timedelta(milliseconds=settings.wait_ms)
        self._wake = wake

    async def refill(self, access: Access, fields: Fields) -> bytes:
        """Accept refills: the id of each."""
        asked, ids = _orders_in(fields, empty=wire.INCORRECT_ORDER)
        done = await request_refills(self._pool, access.reseller_id, list(ids.values()), self._wait)
        self._wake(done.provider_ids)
        refused = _refused(asked, ids, done.refused)
        if asked.many:
            made: Results = {t: done.made[id_] for t, id_ in ids.items() if id_ in done.made}
            return _rows(asked, ids, "order", "refill", {**made, **refused})
        _raise_any(refused)
        [refill_id] = done.made.values()
        return wire.encode({"refill": str(refill_id)})

    async def told(self, access: Access, fields: Fields) -> bytes:
        """How refills stand. Some clients put the refill's id into ``order``."""
        named = "refill" if {"refill", "refills"} & fields.keys() else "order"
        asked = wire.read_ids(every(fields, named), every(fields, f"{named}s"))
        if not asked.tokens:
            given = {named, f"{named}s"} & fields.keys()
            raise PanelError(wire.REFILL_NOT_FOUND if given else wire.INCORRECT_REQUEST)
        ids = _ids(asked)
        states = await told_refills(self._pool, access.reseller_id, list(ids.values()))
        words: Results = {t: REFILL_WORDS[states[id_]] for t, id_ in ids.items() if id_ in states}
        if asked.many:
            missing = {"error": wire.REFILL_NOT_FOUND}
            return _rows(
                asked, ids, "refill", "status", {**dict.fromkeys(asked.tokens, missing), **words}
            )
        if not words:
            raise PanelError(wire.REFILL_NOT_FOUND)
        return wire.encode({"status": words[asked.tokens[0]]})

    async def cancel(self, access: Access, fields: Fields) -> bytes:
        """Take requests to cancel; what becomes of the orders, ``status`` tells."""
        asked, ids = _orders_in(fields, empty=wire.INCORRECT_REQUEST)
        done = await request_cancels(self._pool, access.reseller_id, list(ids.values()))
        self._wake(done.provider_ids)
        refused = _refused(asked, ids, done.refused)
        if asked.many:
            return _rows(
                asked, ids, "order", "cancel", {**dict.fromkeys(asked.tokens, 1), **refused}
            )
        _raise_any(refused)
        return wire.encode(_canceled_single(ids[asked.tokens[0]]))


def _canceled_single(order_id: int) -> dict[str, object]:
    """The reference has no singular cancel; each family of clients reads another of these."""
    return {
        "order": order_id,
        "cancel": 1,
        "id": order_id,
        "status": "success",
        "success": "Cancel request accepted",
        "ok": "true",
    }


def _orders_in(fields: Fields, *, empty: str) -> tuple[AskedIds, dict[str, int]]:
    """The order ids of a call; ``empty`` is the refusal where the parameter holds none."""
    asked = wire.read_ids(every(fields, "order"), every(fields, "orders"))
    if not asked.tokens:
        given = {"order", "orders"} & fields.keys()
        raise PanelError(empty if given else wire.INCORRECT_REQUEST)
    return asked, _ids(asked)


def _ids(asked: AskedIds) -> dict[str, int]:
    return {token: id_ for token in asked.tokens if (id_ := wire.read_id(token))}


def _refused(
    asked: AskedIds, ids: Mapping[str, int], refusals: Mapping[int, str]
) -> dict[str, dict[str, str]]:
    """The error of each token that got one; what is no id is nobody's order."""
    texts = {
        token: refusals.get(ids[token]) if token in ids else wire.INCORRECT_ORDER
        for token in asked.tokens
    }
    return {token: {"error": text} for token, text in texts.items() if text is not None}


def _raise_any(refused: Mapping[str, Mapping[str, str]]) -> None:
    for refusal in refused.values():
        raise PanelError(refusal["error"])


def _rows(
    asked: AskedIds,
    ids: Mapping[str, int],
    id_name: str,
    value_name: str,
    values: Results,
) -> bytes:
    """The reference's answer for many: one row an id, in the order of the call."""
    rows = [{id_name: ids.get(token, token), value_name: values[token]} for token in asked.tokens]
    return wire.encode(rows)
