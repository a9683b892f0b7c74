"""Orders as operators look for them.

Each statement has only the conditions that are asked for, so that the server sees which index
fits: ids by the key, resellers and odd ends by indexes with the id, links by a summary of the
table's parts. A time is turned into an id first, because ids grow with it.
"""

from gateway.store.connection import Connection, Record
from gateway.store.order_times import BEFORE_TIME, FROM_TIME
from schemas.order_records import OrderRecord
from schemas.order_search import OrderFilter
from schemas.order_work import SeenOrder
from schemas.orders import OrderState, WireStatus

_RECORD = """select o.id, r.name as reseller, o.service_id, o.service_type,
                    p.name as provider, o.upstream_service,
                    o.upstream_id, x.external_id, o.state, o.attempts, o.link, o.quantity,
                    o.charge, o.refunded, o.currency, o.start_count, o.remains, o.wire_status,
                    o.wire_charge, o.wire_remains, o.created_at, o.updated_at, o.parent_id
               from {} o
               join reseller r on r.id = o.reseller_id
               join provider p on p.id = o.provider_id
               left join external_id x on x.order_id = o.id"""

_CONDITIONS = {
    "order_ids": "id = any({0}::int[])",
    "external_id": "id in (select order_id from external_id where external_id = {0}::text)",
    "upstream_id": """id in (select order_id from placement
                             where provider_id in (select id from provider)
                               and upstream_id = {0}::text)""",
    "link": "link = {0}::text",
    "reseller": "reseller_id = (select id from reseller where name = {0}::text)",
    "provider": "provider_id = (select id from provider where name = {0}::text)",
    "service_id": "service_id = {0}::int",
    "states": "state = any({0}::text[])",
    "since": f"created_at >= {{0}}::timestamptz and id >= {FROM_TIME}",
    "until": f"created_at < {{0}}::timestamptz and id < {BEFORE_TIME}",
}


def _read(row: Record) -> OrderRecord:
    words = {"state": OrderState(row["state"]), "wire_status": WireStatus(row["wire_status"])}
    return OrderRecord(**{**row, **words})


def _where(wanted: OrderFilter) -> tuple[list[str], list[object]]:
    """The conditions of a filter, and what stands for their parameters."""
    conditions: list[str] = []
    given: list[object] = []
    for name, condition in _CONDITIONS.items():
        value = getattr(wanted, name)
        if value is not None:
            given.append(value)
            conditions.append(condition.format(f"${len(given)}"))
    return conditions, given


def _search(wanted: OrderFilter, before_id: int | None, limit: int) -> tuple[str, list[object]]:
    """The statement that finds a page, and its parameters."""
    conditions, given = _where(wanted)
    if before_id is not None:
        given.append(before_id)
        conditions.append(f"id < ${len(given)}")
    given.append(limit)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    page = f"(select * from orders {where} order by id desc limit ${len(given)})"  # noqa: S608 - constants only
    return f"{_RECORD.format(page)} order by o.id desc", given


async def get_order(conn: Connection, order_id: int) -> OrderRecord | None:
    """One order with everything that operators look at."""
    row = await conn.fetchrow(f"{_RECORD.format('orders')} where o.id = $1", order_id)
    return _read(row) if row else None


async def list_found_orders(
    conn: Connection, wanted: OrderFilter, *, before_id: int | None = None, limit: int
) -> list[OrderRecord]:
    """A page of the orders that are meant, the newest first; the next one is before its last id."""
    statement, given = _search(wanted, before_id, limit)
    return [_read(row) for row in await conn.fetch(statement, *given)]


async def list_seen_orders(
    conn: Connection, wanted: OrderFilter, *, after_id: int, limit: int
) -> list[SeenOrder]:
    """The orders that are meant, the oldest first, beyond ``after_id``."""
    conditions, given = _where(wanted)
    given += [after_id, limit]
    conditions.append(f"id > ${len(given) - 1}")
    rows = await conn.fetch(
        f"select id, attempts from orders where {' and '.join(conditions)}"  # noqa: S608 - constants only
        f" order by id limit ${len(given)}",
        *given,
    )
    return [SeenOrder(*row) for row in rows]


async def list_search_plan(conn: Connection, wanted: OrderFilter, limit: int) -> list[str]:
    """How the server would look for a page."""
    statement, given = _search(wanted, None, limit)
    return [row[0] for row in await conn.fetch(f"explain {statement}", *given)]
