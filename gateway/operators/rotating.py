"""Exchanging master keys and peppers: what an operator does once every process has the new ones."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.operators.acting import record
from gateway.peppers import Peppers
from gateway.resealing import require_openable, reseal
from gateway.sealing import MasterKeys
from gateway.store import resellers
from gateway.store.connection import Pool, transaction
from schemas.operators import Subject, Warrant


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many secrets were sealed anew, and how many hashes of a former pepper forgotten."""

    renewed: int
    forgotten: int


async def rotate(
    pool: Pool, keys: MasterKeys, peppers: Peppers, warrant: Warrant, tell: Callable[[int], None]
) -> Rotated:
    """Seal everything under the current master key; without an old pepper, forget its hashes.

    ``tell`` hears how many secrets are done. Cut off, it goes on where it was when it is repeated.

    Raises:
        UserError: when a secret cannot be opened; before anything is changed, as a rule.
    """
    await require_openable(pool, keys)
    renewed = await reseal(pool, keys, tell)
    forgotten = 0
    async with pool.acquire() as conn, transaction(conn):
        if peppers.old is None:
            forgotten = await resellers.set_macs_before_forgotten(conn, peppers.id)
        after = {"renewed": renewed, "hashes_forgotten": forgotten}
        subject = Subject("master key", keys.current)
        await record(conn, warrant.act("secrets.rotated", subject, after=after))
    return Rotated(renewed, forgotten)
