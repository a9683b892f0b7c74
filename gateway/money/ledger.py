"""The ledger's book: the only writer of balances.

A book is opened inside a transaction and locks the balances that it is opened for. Movements are
then decided in memory, without waiting, and written at once; nobody else can move those balances
in between.
"""

from collections.abc import Iterable, Sequence

import asyncpg

from gateway.store import ledger as store
from gateway.store.connection import Connection
from schemas.ledger import Balance, Entry
from schemas.money import Micros


class LedgerConflict(Exception):
    """Balances were not what their lock had shown: a defect, the transaction must not commit."""


class BalanceLocked(Exception):
    """A balance is held by another transaction for longer than a lock is waited for."""


class Book:
    """The locked balances of some resellers, and the movements that were decided on them."""

    def __init__(self, balances: Iterable[Balance]) -> None:
        self._balances = {balance.reseller_id: balance for balance in balances}
        self._entries_before = {b.reseller_id: b.entries for b in self._balances.values()}
        self._entries: list[Entry] = []

    @classmethod
    async def open(
        cls, conn: Connection, reseller_ids: Iterable[int], *, skip_locked: bool = False
    ) -> "Book":
        """Lock the balances of these resellers until the transaction ends.

        With ``skip_locked``, balances that somebody else holds are left out.

        Raises:
            BalanceLocked: when somebody else holds one for too long.
        """
        wanted = sorted(set(reseller_ids))
        if skip_locked:
            return cls(await store.lock_free_balances(conn, wanted))
        try:
            return cls(await store.lock_balances(conn, wanted))
        except asyncpg.LockNotAvailableError:
            raise BalanceLocked from None

    def __contains__(self, reseller_id: int) -> bool:
        """Whether the reseller's balance is locked by this book."""
        return reseller_id in self._balances

    @property
    def entries(self) -> Sequence[Entry]:
        """The movements decided so far."""
        return self._entries

    def balance(self, reseller_id: int) -> Micros:
        """What the reseller has after the movements decided so far."""
        return self._balances[reseller_id].amount

    def charge(self, reseller_id: int, amount: Micros, order_id: int) -> bool:
        """Take the price of an order, unless that would take the balance below its floor."""
        balance = self._balances[reseller_id]
        if balance.amount - amount < balance.floor:
            return False
        self._post(balance, "reseller", "sales", amount, "charge", order_id=order_id)
        return True

    def refund(self, reseller_id: int, amount: Micros, order_id: int, refunded: Micros) -> None:
        """Give back a part of an order's charge; ``refunded`` is what was given back before."""
        balance = self._balances[reseller_id]
        self._post(balance, "sales", "reseller", amount, "refund", order_id=order_id, step=refunded)

    def top_up(self, reseller_id: int, amount: Micros, method: str, note: str | None) -> None:
        """Credit money that came in by ``method``."""
        self._post(
            self._balances[reseller_id], f"cash:{method}", "reseller", amount, "topup", note=note
        )

    def correct(self, reseller_id: int, amount: Micros, note: str) -> bool:
        """Correct a balance by an operator's word, up or, below 0, down; False where that would
        take it below its floor.
        """
        balance = self._balances[reseller_id]
        if amount < 0 and balance.amount + amount < balance.floor:
            return False
        ends = ("corrections", "reseller") if amount > 0 else ("reseller", "corrections")
        self._post(balance, *ends, abs(amount), "correction", note=note)
        return True

    async def set_credit_limit(self, conn: Connection, reseller_id: int, limit: Micros) -> bool:
        """Let the reseller owe up to ``limit``; False, and nothing done, if it owes more already.

        Written at once, for the movements that are decided afterwards.
        """
        balance = self._balances[reseller_id]
        if not await store.set_floor(conn, reseller_id, -limit):
            return False
        balance.floor = -limit
        return True

    async def write(self, conn: Connection) -> None:
        """Write the movements and what they make of the balances.

        Raises:
            LedgerConflict: when a balance is not as it was when it was locked.
        """
        if not self._entries:
            return
        moved = {entry.reseller_id for entry in self._entries}
        changed = [b for b in self._balances.values() if b.reseller_id in moved]
        before = [self._entries_before[b.reseller_id] for b in changed]
        if await store.insert_entries(conn, self._entries, before, changed) != len(changed):
            raise LedgerConflict(f"balances changed under their lock: resellers {sorted(moved)}")

    def _post(  # noqa: PLR0913 - an entry has these parts
        self,
        balance: Balance,
        source: str,
        destination: str,
        amount: Micros,
        cause: str,
        *,
        order_id: int | None = None,
        step: int = 0,
        note: str | None = None,
    ) -> None:
        balance.amount += amount if destination == "reseller" else -amount
        balance.entries += 1
        self._entries.append(
            Entry(
                reseller_id=balance.reseller_id,
                position=balance.entries,
                source=source,
                destination=destination,
                amount=amount,
                cause=cause,
                order_id=order_id,
                step=step,
                balance_after=balance.amount,
                note=note,
            )
        )
