"""Funds of provider accounts: what they hold, how long that lasts, and what was expected."""

from gateway.catalogue.upstreams import find_provider
from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.store import funds as store
from gateway.store import measures, providers
from gateway.store.connection import Connection, transaction
from providers.decoding import clean
from schemas.funds import Funds
from schemas.money import Micros
from schemas.operators import Subject, Warrant
from schemas.providers import ProviderRecord

_LONGEST_ALIAS = 60


def hours_left(balance: Micros | None, spent: Micros | None, hours: float | None) -> float | None:
    """How long a balance lasts at a pace; None where nothing is spent, or too little is known."""
    if balance is None or not spent or not hours:
        return None
    return max(0, balance) * hours / spent


async def funds_of(conn: Connection, name: str, limit: int) -> Funds:
    """An account's balance, its readings, and how long it lasts.

    Raises:
        UserError: when there is no such account.
    """
    found = await find_provider(conn, name)
    pace = next(m for m in await measures.list_account_measures(conn) if m.name == name)
    rows = await store.list_funds_rows(conn, found.id, limit)
    left = hours_left(pace.balance, pace.spent, pace.hours)
    return Funds(name, found.currency, found.balance, left, tuple(rows))


async def set_alias(
    conn: Connection, name: str, alias: str | None, warrant: Warrant
) -> ProviderRecord:
    """What support staff see in place of the account's name; None takes it away.

    Raises:
        AlreadyDone: when the same request has done so before.
        UserError: when there is no such account, or another one has the alias or is named so.
    """
    text = None if alias is None else clean(alias, _LONGEST_ALIAS + 1)
    if text is not None and not 0 < len(text) <= _LONGEST_ALIAS:
        raise UserError(f"an alias has 1 to {_LONGEST_ALIAS} characters")
    async with transaction(conn):
        before = await find_provider(conn, name)
        for other in await providers.list_providers(conn):
            if text is not None and other.id != before.id and text in (other.alias, other.name):
                raise UserError(f"{text} stands for another provider: choose another alias")
        await providers.set_provider_alias(conn, before.id, text)
        if text != before.alias:
            changes = {"before": {"alias": before.alias}, "after": {"alias": text}}
            await record(
                conn, warrant.act("provider.changed", Subject("provider", name), **changes)
            )
    return await find_provider(conn, name)
