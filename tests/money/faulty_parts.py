"""A drip-feed and a subscription written straight into the tables, and faults of theirs."""

from gateway.money.ledger import Book
from gateway.store.connection import Connection, transaction
from schemas.money import UNIT
from tests.money.faults import PlantedFault, order_row
from tests.world import Customer

#: Three runs of a hundred pieces for one unit: the first completed, the second is placed.
DRIP, FIRST_RUN, SECOND_RUN = 101, 102, 103
#: Four posts of fifty for two units: one served and canceled, the others refunded.
SUBSCRIPTION, POST = 104, 105
#: A drip-feed that was stopped before its first run.
STOPPED = 106


async def sound_parts(conn: Connection, customer: Customer) -> None:
    """Both parents with their parts, in order."""
    async with transaction(conn):
        book = await Book.open(conn, [customer.id])
        assert book.charge(customer.id, UNIT, DRIP)
        assert book.charge(customer.id, 2 * UNIT, SUBSCRIPTION)
        assert book.charge(customer.id, UNIT, STOPPED)
        book.refund(customer.id, UNIT // 2, POST, refunded=0)
        book.refund(customer.id, 3 * UNIT // 2, SUBSCRIPTION, refunded=0)
        book.refund(customer.id, UNIT, STOPPED, refunded=0)
        await book.write(conn)
        for number, charge, state in (
            (DRIP, UNIT, "scheduled"),
            (SUBSCRIPTION, 2 * UNIT, "canceled"),
            (STOPPED, UNIT, "canceled"),
        ):
            await order_row(conn, customer, number, charge, state)
        await conn.execute(
            "update orders set parent_id = null, quantity = 300, wire_remains = 200 where id = $1",
            DRIP,
        )
        for number, parent, nth, charge, state in (
            (FIRST_RUN, DRIP, 1, 333_333, "completed"),
            (SECOND_RUN, DRIP, 2, 333_333, "placed"),
            (POST, SUBSCRIPTION, 1, UNIT // 2, "canceled"),
        ):
            await order_row(conn, customer, number, charge, state)
            await conn.execute("update orders set parent_id = $2 where id = $1", number, parent)
            await conn.execute("insert into run values ($1, $2, $3)", parent, nth, number)
        await conn.execute(_THE_REST)


_THE_REST = f"""
insert into schedule values ({DRIP}, 3, 60, now()), ({SUBSCRIPTION}, 4, null, null),
    ({STOPPED}, 1, 60, null);
update orders set quantity = 200, wire_remains = 200 where id = {SUBSCRIPTION};
update orders set quantity = 50, wire_remains = 50 where id = {POST};
update orders set upstream_id = 'up' || id, attempts = 1
 where id in ({FIRST_RUN}, {SECOND_RUN}, {SUBSCRIPTION}, {POST});
insert into attempt (order_id, number, provider_id, upstream_service, state, upstream_id)
select id, 1, 1, '1', 'placed', upstream_id from orders where attempts = 1 and id > 100;
insert into placement select 1, upstream_id, id from orders where attempts = 1 and id > 100;
insert into order_event (order_id, version, from_state, to_state, cause) values
    ({FIRST_RUN}, 1, 'queued', 'sending', 't'), ({FIRST_RUN}, 2, 'sending', 'placed', 't'),
    ({FIRST_RUN}, 3, 'placed', 'completed', 't'),
    ({SECOND_RUN}, 1, 'queued', 'sending', 't'), ({SECOND_RUN}, 2, 'sending', 'placed', 't'),
    ({SUBSCRIPTION}, 1, 'queued', 'sending', 't'), ({SUBSCRIPTION}, 2, 'sending', 'placed', 't'),
    ({SUBSCRIPTION}, 3, 'placed', 'canceled', 't'),
    ({POST}, 1, 'placed', 'canceled', 't'), ({STOPPED}, 1, 'scheduled', 'canceled', 't');
update orders o set version = (select count(*) from order_event e where e.order_id = o.id)
 where id > 100;
update orders set refunded = case id when {POST} then 500000 when {STOPPED} then 1000000
                                     else 1500000 end,
       wire_charge = 0, wire_status = 'Canceled'
 where id in ({SUBSCRIPTION}, {POST}, {STOPPED});
update orders set wire_status = 'Completed', wire_remains = 0 where id = {FIRST_RUN};
update orders set ended_at = now() where id > 100 and state in ('completed', 'canceled');
insert into cancellation (order_id, state) values ({STOPPED}, 'taken'), ({DRIP}, 'taken')
"""


def _fault(check: str, sql: str, *also: str) -> PlantedFault:
    return PlantedFault(check, sql, frozenset(also))


PART_FAULTS: tuple[PlantedFault, ...] = (
    _fault(
        "charged_once",
        f"insert into entry select reseller_id, entries + 1, 'reseller', 'sales', 333333, 'charge',"
        f" {FIRST_RUN}, 0, amount - 333333 from balance where reseller_id = 1;"
        f"update balance set amount = amount - 333333, entries = entries + 1 where reseller_id = 1",
        "totals_match",
    ),
    _fault(
        "parts_fit_parent",
        f"update orders set charge = charge + 1, wire_charge = wire_charge + 1"
        f" where id = {FIRST_RUN}",
    ),
    _fault(
        "parts_fit_parent",
        f"update orders set quantity = 101 where id = {SECOND_RUN}",
    ),
    _fault("parts_fit_parent", f"update orders set reseller_id = 2 where id = {SECOND_RUN}"),
    _fault("parts_fit_parent", f"update orders set service_id = 9 where id = {SECOND_RUN}"),
    _fault(
        "parts_fit_parent",
        f"update run set number = 4 where order_id = {SECOND_RUN}",
        "parents_fit_parts",
    ),
    _fault(
        "parts_fit_parent",
        f"delete from run where order_id = {SECOND_RUN}",
    ),
    _fault(
        "parts_fit_parent",
        f"update schedule set runs = 7 where order_id = {DRIP}",
    ),
    _fault("parts_fit_parent", "insert into schedule values (999, 1, null, null)"),
    _fault("parts_fit_parent", f"insert into run values ({DRIP}, 3, 999)"),
    _fault(
        "parents_fit_parts",
        f"update orders set state = 'completed', wire_status = 'Completed', version = 1,"
        f" ended_at = now() where id = {DRIP};"
        f"insert into order_event values ({DRIP}, 1, 'scheduled', 'completed', 'test')",
    ),
    _fault(
        "parents_fit_parts",
        f"update orders set refunded = refunded + 1 where id = {SUBSCRIPTION};"
        f"update orders set refunded = refunded - 1 where id = {STOPPED};"
        f"update entry set amount = amount + case order_id when {STOPPED} then -1 else 1 end"
        f" where order_id in ({STOPPED}, {SUBSCRIPTION}) and cause = 'refund'",
        "statement_has_no_gap",
    ),
    _fault("parents_fit_parts", f"update schedule set next_run_at = null where order_id = {DRIP}"),
    _fault(
        "parents_fit_parts", f"update schedule set next_run_at = now() where order_id = {STOPPED}"
    ),
    _fault("told_fits_state", f"update orders set wire_charge = 1 where id = {DRIP}"),
    _fault(
        "attempts_fit_state",
        "insert into attempt (order_id, number, provider_id, upstream_service, state)"
        f" values ({DRIP}, 1, 1, '1', 'unknown')",
    ),
    _fault(
        "history_fits_row",
        f"update order_event set from_state = 'queued' where order_id = {STOPPED}",
    ),
    _fault(
        "history_fits_row",
        f"update order_event set from_state = 'in_progress' where order_id = {POST}",
    ),
)
