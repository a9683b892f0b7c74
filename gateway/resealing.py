"""Renews the seals of stored secrets, and refuses to run where some could not be opened."""

from collections.abc import Callable

from gateway.errors import UserError
from gateway.sealing import MasterKeys, SealError
from gateway.store import secrets
from gateway.store.connection import Pool, transaction

_BATCH = 500


async def reseal(
    pool: Pool, keys: MasterKeys, tell: Callable[[int], None] = lambda done: None
) -> int:
    """Bring every secret under the current master key; returns how many were not.

    In batches, each a transaction: whoever is cut off goes on where he was. Secrets that change
    meanwhile are sealed under the current key by whoever changes them. ``tell`` hears after each
    batch how many are done.

    Raises:
        UserError: when a secret does not open; all before it are done.
    """
    done = 0
    while True:
        async with pool.acquire() as conn, transaction(conn):
            found = await secrets.lock_secrets(conn, keys.ids[1:], _BATCH)
            try:
                renewed = [(name, keys.renew(name, sealed)) for name, sealed in found]
            except SealError as error:
                raise UserError(str(error)) from None
            if renewed:
                await secrets.set_seals(conn, renewed)
        if not found:
            return done
        done += len(found)
        tell(done)


async def require_openable(pool: Pool, keys: MasterKeys) -> None:
    """Raise UserError unless every secret is sealed, and under one of our master keys."""
    async with pool.acquire() as conn:
        counted = await secrets.count_secrets(conn)
    for key_id, number in counted.items():
        if key_id is None:
            raise UserError(
                f"{number} stored secrets are not sealed yet: run `smm-gateway migrate`"
            )
        if key_id not in keys.ids:
            raise UserError(
                f"{number} stored secrets are sealed under master key {key_id}, which is not among "
                "security.master_keys: add that key after the current one"
            )
