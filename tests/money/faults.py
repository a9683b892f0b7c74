"""Orders written straight into the tables, and the faults that an audit must find."""

from dataclasses import dataclass
from itertools import pairwise

from gateway.money.ledger import Book
from gateway.store.connection import Connection, transaction
from schemas.money import UNIT
from tests.world import Customer


async def order_row(
    conn: Connection, customer: Customer, number: int, charge: int, state: str = "queued"
) -> None:
    """An order without a service or a provider, as far as money is concerned."""
    await conn.execute(
        """insert into orders (id, reseller_id, service_id, service_type, provider_id,
                               upstream_service, state, link, quantity, rate, charge, currency,
                               wire_charge, wire_remains, request_id)
           values ($1, $2, 1, 'Default', 1, '1', $3, 'https://a.example', 100, 10, $4, 'USD', $4,
                   100, 'test')""",
        number,
        customer.id,
        state,
        charge,
    )


#: How an order comes to stand where it stands: the states it went through.
_PATHS = {
    "queued": [],
    "sending": ["sending"],
    "unknown": ["sending", "unknown"],
    "failed": ["sending", "failed"],
    "placed": ["sending", "placed"],
    "completed": ["sending", "placed", "completed"],
    "partial": ["sending", "placed", "in_progress", "partial"],
    "canceled": ["sending", "placed", "canceled"],
}
_ATTEMPTS = {"sending": "intent", "unknown": "unknown", "failed": "rejected", "queued": ""}
_WORDS = {"completed": "Completed", "partial": "Partial", "failed": "Canceled"}
_WORDS["canceled"] = "Canceled"

#: The orders of the sound world, by state: each costs one unit for a hundred pieces.
ORDERS = {state: number for number, state in enumerate(_PATHS, 1)}


async def sound_world(conn: Connection, first: Customer, second: Customer) -> None:
    """Orders in every state, all of the first reseller, each with its history and its money."""
    for state, number in ORDERS.items():
        refund = {"failed": UNIT, "canceled": UNIT, "partial": UNIT // 4}.get(state, 0)
        async with transaction(conn):
            book = await Book.open(conn, [first.id])
            assert book.charge(first.id, UNIT, number)
            if refund:
                book.refund(first.id, refund, number, refunded=0)
            await book.write(conn)
            await order_row(conn, first, number, UNIT, state)
            await _history(conn, number, state, refund)
    await conn.execute(
        "insert into external_id values ($1, 'mine', $2)", first.id, ORDERS["completed"]
    )
    await _aftercare(conn, first)


async def _aftercare(conn: Connection, customer: Customer) -> None:
    """An open refill, one that ended, and requests to cancel."""
    completed, partial = ORDERS["completed"], ORDERS["partial"]
    await conn.execute(
        """insert into refill (order_id, reseller_id, provider_id, upstream_order, state,
                               upstream_id, tries, ended_at)
           values ($1, $3, 1, 'up' || $1::int, 'rejected', null, 1, now()),
                  ($1, $3, 1, 'up' || $1::int, 'placed', '7', 1, null),
                  ($2, $3, 1, 'up' || $2::int, 'unknown', null, 1, null)""",
        completed,
        partial,
        customer.id,
    )
    await conn.execute(
        """insert into cancellation (order_id, state, tries)
           values ($1, 'requested', 0), ($2, 'taken', 1), ($3, 'over', 0)""",
        ORDERS["unknown"],
        ORDERS["canceled"],
        completed,
    )


async def _history(conn: Connection, number: int, state: str, refund: int) -> None:
    path = ["queued", *_PATHS[state]]
    for version, (before, after) in enumerate(pairwise(path), 1):
        await conn.execute(
            "insert into order_event values ($1, $2, $3, $4, 'test')",
            number,
            version,
            before,
            after,
        )
    attempt = _ATTEMPTS.get(state, "placed")
    upstream_id = f"up{number}" if attempt == "placed" else None
    if attempt:
        await conn.execute(
            "insert into attempt (order_id, number, provider_id, upstream_service, state,"
            " upstream_id) values ($1, 1, 1, '1', $2, $3)",
            number,
            attempt,
            upstream_id,
        )
    if upstream_id:
        await conn.execute("insert into placement values (1, $1, $2)", upstream_id, number)
    await conn.execute(
        """update orders set version = $2, upstream_id = $3, refunded = $4,
                  wire_charge = charge - $4, wire_status = $5,
                  remains = case when state = 'partial' then 25 end,
                  ended_at = case when $5 <> 'Pending' then now() end
            where id = $1""",
        number,
        len(path) - 1,
        upstream_id,
        refund,
        _WORDS.get(state, "Pending"),
    )


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """SQL that breaks a sound world, the check it is for, and others that must notice it too."""

    check: str
    sql: str
    also: frozenset[str] = frozenset()

    @property
    def found_by(self) -> set[str]:
        """All checks that report it."""
        return {self.check, *self.also}


def _fault(check: str, sql: str, *also: str) -> PlantedFault:
    return PlantedFault(check, sql, frozenset(also))


_Q, _S, _U = ORDERS["queued"], ORDERS["sending"], ORDERS["unknown"]
_F, _P, _C = ORDERS["failed"], ORDERS["placed"], ORDERS["completed"]
_PART, _CANC = ORDERS["partial"], ORDERS["canceled"]
_ATTEMPT = (
    "insert into attempt (order_id, number, provider_id, upstream_service, state, upstream_id)"
)

FAULTS: tuple[PlantedFault, ...] = (
    _fault(
        "balance_is_history",
        "update balance set amount = amount + case reseller_id when 1 then 1 else -1 end",
    ),
    _fault("balance_is_history", "update balance set entries = entries + 1 where reseller_id = 1"),
    _fault(
        "balance_is_history",
        "update balance set amount = amount + 1 where reseller_id = 1",
        "totals_match",
    ),
    _fault("balance_is_history", "delete from balance where reseller_id = 2", "totals_match"),
    _fault(
        "statement_has_no_gap",
        "update entry set balance_after = balance_after + 1 where reseller_id = 1 and position = 3",
    ),
    _fault(
        "statement_has_no_gap",
        "update entry set position = 99 where reseller_id = 2 and position = 1",
    ),
    _fault("balance_above_floor", "update balance set floor = amount + 1 where reseller_id = 2"),
    _fault(
        "charged_once",
        f"update orders set charge = charge + 1, wire_charge = wire_charge + 1 where id = {_Q};"
        f"update orders set charge = charge - 1, wire_charge = wire_charge - 1 where id = {_S}",
    ),
    _fault(
        "charged_once",
        f"update entry set order_id = {_Q}, step = 1 where order_id = {_S} and cause = 'charge'",
    ),
    _fault("charged_once", f"update orders set reseller_id = 2 where id = {_Q}"),
    _fault(
        "charged_once",
        f"update entry set cause = 'topup', order_id = null, source = 'cash:x',"
        f" destination = 'reseller' where order_id = {_Q}",
        "balance_is_history",
        "statement_has_no_gap",
        "totals_match",
    ),
    _fault(
        "refunds_match",
        f"update entry set order_id = {_CANC}, step = 1 where order_id = {_F} and cause = 'refund'",
    ),
    _fault(
        "refunds_match",
        f"update orders set refunded = 0, charge = 1 where id = {_F}",
        "charged_once",
        "totals_match",
        "end_fits_money",
    ),
    _fault(
        "no_money_without_order",
        f"delete from orders where id = {_Q}",
        "totals_match",
    ),
    _fault(
        "totals_match",
        f"update orders set charge = charge + 1, wire_charge = wire_charge + 1 where id = {_Q}",
        "charged_once",
    ),
    _fault(
        "totals_match",
        f"update orders set refunded = refunded - 1 where id = {_PART}",
        "refunds_match",
        "end_fits_money",
    ),
    _fault(
        "one_live_attempt",
        f"drop index attempt_one_live;{_ATTEMPT} values ({_P}, 2, 1, '1', 'placed', 'up{_P}')",
    ),
    _fault("attempts_fit_state", f"delete from attempt where order_id = {_S}"),
    _fault("attempts_fit_state", f"{_ATTEMPT} values ({_Q}, 1, 1, '1', 'unknown', null)"),
    _fault("attempts_fit_state", f"{_ATTEMPT} values ({_F}, 2, 1, '1', 'intent', null)"),
    _fault("attempts_fit_state", f"update attempt set state = 'not_sent' where order_id = {_U}"),
    _fault("attempts_fit_state", f"update attempt set state = 'rejected' where order_id = {_P}"),
    _fault("attempts_fit_state", f"update attempt set state = 'unknown' where order_id = {_CANC}"),
    _fault("upstream_ids_agree", f"update orders set upstream_id = 'other' where id = {_P}"),
    _fault("upstream_ids_agree", f"update orders set provider_id = 2 where id = {_P}"),
    _fault("upstream_ids_agree", f"update placement set order_id = {_C} where order_id = {_P}"),
    _fault("upstream_ids_agree", f"delete from placement where order_id = {_P}"),
    _fault("end_fits_money", f"update orders set remains = null where id = {_PART}"),
    _fault("end_fits_money", f"update orders set remains = 26 where id = {_PART}"),
    _fault(
        "end_fits_money",
        f"update orders set refunded = refunded - 1, remains = remains where id = {_CANC};"
        f"update entry set amount = amount - 1 where order_id = {_CANC} and cause = 'refund'",
        "balance_is_history",
        "statement_has_no_gap",
        "totals_match",
    ),
    _fault("told_fits_state", f"update orders set wire_status = 'Completed' where id = {_P}"),
    _fault("told_fits_state", f"update orders set wire_status = 'Pending' where id = {_C}"),
    _fault("told_fits_state", f"update orders set wire_charge = charge - 1 where id = {_Q}"),
    _fault("told_fits_state", f"update orders set wire_charge = charge + 1 where id = {_C}"),
    _fault("told_fits_state", f"update orders set wire_remains = -1 where id = {_C}"),
    _fault("told_fits_state", f"update orders set wire_remains = quantity + 1 where id = {_C}"),
    _fault("history_fits_row", f"update orders set version = version + 1 where id = {_P}"),
    _fault("history_fits_row", f"delete from order_event where order_id = {_P} and version = 1"),
    _fault(
        "history_fits_row",
        f"update order_event set from_state = 'queued' where order_id = {_P} and version = 2",
        "legal_moves",
    ),
    _fault(
        "events_have_orders",
        "insert into order_event values (999, 1, 'queued', 'sending', 'test')",
    ),
    _fault("events_have_orders", f"{_ATTEMPT} values (999, 1, 1, '1', 'rejected', null)"),
    _fault("external_ids_own", f"insert into external_id values (2, 'stolen', {_C})"),
    _fault("external_ids_own", "insert into external_id values (1, 'gone', 999)"),
    _fault("end_is_dated", f"update orders set ended_at = null where id = {_C}"),
    _fault("end_is_dated", f"update orders set ended_at = now() where id = {_P}"),
    _fault(
        "one_open_refill",
        "drop index refill_one_open; insert into refill (order_id, reseller_id, provider_id,"
        f" upstream_order) values ({_C}, 1, 1, 'up{_C}')",
    ),
    _fault(
        "one_open_refill",
        "insert into refill (order_id, reseller_id, provider_id, upstream_order)"
        f" values ({_P}, 1, 1, 'up{_P}')",
    ),
    _fault("refills_own", "update refill set reseller_id = 2 where id = 1"),
    _fault("refills_own", "update refill set provider_id = 2 where id = 2"),
    _fault("refills_own", "update refill set upstream_order = 'other' where id = 1"),
    _fault("refills_own", "update refill set order_id = 999 where id = 1"),
    _fault("refills_fit_state", "update refill set upstream_id = null where id = 2"),
    _fault("refills_fit_state", "update refill set ended_at = null where id = 1"),
    _fault("refills_fit_state", "update refill set ended_at = now() where id = 2"),
    _fault("refills_fit_state", "update refill set tries = 0 where id = 3"),
    _fault("refills_fit_state", "update refill set state = 'requested' where id = 2"),
    _fault("cancellations_fit", f"update cancellation set order_id = 999 where order_id = {_U}"),
    _fault("cancellations_fit", f"update cancellation set state = 'over' where order_id = {_U}"),
    _fault("cancellations_fit", f"update cancellation set state = 'taken' where order_id = {_U}"),
    _fault("no_floats", "alter table service add column discount double precision"),
    _fault("no_floats", "alter table orders add column fee money"),
    _fault("append_only_guards", "alter table entry disable trigger append_only"),
    _fault("append_only_guards", "alter table entry disable trigger no_truncate"),
    _fault("append_only_guards", "alter table order_event_0 disable trigger append_only"),
    _fault("append_only_guards", "alter table order_event_1 disable trigger no_truncate"),
    _fault("append_only_guards", "drop trigger append_only on order_event"),
    _fault("append_only_guards", "alter table order_event enable replica trigger no_truncate"),
    _fault(
        "legal_moves",
        f"update order_event set from_state = 'sending', to_state = 'failed'"
        f" where order_id = {_P} and version = 2;"
        f"insert into order_event values ({_P}, 3, 'failed', 'placed', 'test');"
        f"update orders set version = 3 where id = {_P}",
    ),
)

#: What waits too long, by state, and how long is still in order.
WAITS: tuple[tuple[str, str, str], ...] = (
    ("queued", "9 minutes", "11 minutes"),
    ("sending", "2 minutes", "4 minutes"),
    ("unknown", "29 minutes", "31 minutes"),
    ("placed", "71 hours", "73 hours"),
)


async def tamper(conn: Connection, sql: str) -> None:
    """Do what no program of ours does, with the guards out of the way meanwhile."""
    for table in ("entry", "order_event"):
        await conn.execute(f"alter table {table} disable trigger user")
    guards = "; ".join(f"alter table {t} enable trigger user" for t in ("entry", "order_event"))
    # A fault of the guards themselves comes after they are back.
    steps = [guards, sql] if "trigger" in sql else [sql, guards]
    for step in steps:
        await conn.execute(step)
