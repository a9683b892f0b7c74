"""Reseller accounts: opening them, changing them, and their keys."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg

from gateway.errors import UserError
from gateway.money.ledger import Book
from gateway.operators.acting import record
from gateway.peppers import Peppers, mac_of
from gateway.resellers.keys import new_key
from gateway.store import resellers as store
from gateway.store.connection import Connection, transaction
from schemas.money import Micros, format_amount
from schemas.operators import Subject, Warrant, differences
from schemas.resellers import ANY_USE, ApiKey, KeyTerms, Reseller

_HINT_CHARACTERS = 8


async def create_reseller(
    conn: Connection,
    name: str,
    email: str,
    currency: str,
    house_currency: str,
    warrant: Warrant,
) -> Reseller:
    """Open an account with an empty balance.

    Raises:
        UserError: for a name that is taken, or a currency that is not the house's.
    """
    if currency != house_currency:
        raise UserError(
            f"resellers are kept in {house_currency}, the house currency; {currency} cannot be"
        )
    if not name.strip() or "@" not in email:
        raise UserError("a reseller needs a name and an e-mail address")
    try:
        async with transaction(conn):
            await store.insert_reseller(conn, name, email, currency)
            after = {"email": email, "currency": currency}
            await record(conn, warrant.act("reseller.created", _subject(name), after=after))
    except asyncpg.UniqueViolationError:
        raise UserError(f"there is a reseller {name} already: choose another name") from None
    return await find_reseller(conn, name)


def _subject(name: str) -> Subject:
    return Subject("reseller", name)


async def find_reseller(conn: Connection, name: str) -> Reseller:
    """The reseller of that name.

    Raises:
        UserError: when there is none.
    """
    reseller = await store.get_reseller(conn, name)
    if reseller is None:
        raise UserError(f"there is no reseller {name}: see `smm-gateway reseller list`")
    return reseller


async def change_reseller(
    conn: Connection,
    name: str,
    change: Callable[[Reseller], Reseller],
    warrant: Warrant,
    *,
    credit_limit: Micros | None = None,
) -> Reseller:
    """Change an account's settings, and what it may owe; every process knows within seconds.

    Raises:
        UserError: when there is no such reseller, or it owes more than its new credit limit.
    """
    async with transaction(conn):
        # The balance is the account's lock: what operators change comes one after the other.
        book = await Book.open(conn, [(await find_reseller(conn, name)).id])
        reseller = await find_reseller(conn, name)
        if credit_limit is not None and not await book.set_credit_limit(
            conn, reseller.id, credit_limit
        ):
            owed = f"{format_amount(-reseller.balance)} {reseller.currency}"
            raise UserError(
                f"{name} owes {owed}: choose a credit limit that is not below that, or credit the "
                "account first"
            )
        await store.set_reseller(conn, change(reseller))
        before, after = differences(_terms(reseller), _terms(await find_reseller(conn, name)))
        if after:
            act = warrant.act("reseller.changed", _subject(name), before=before, after=after)
            await record(conn, act)
    return await find_reseller(conn, name)


def _terms(reseller: Reseller) -> dict[str, Any]:
    return {
        "suspended": reseller.suspended,
        "suspended_reason": reseller.suspended_reason,
        "request_limit": reseller.request_limit,
        "duplicates": reseller.duplicates,
        "text_ids": reseller.text_ids,
        "post_only": reseller.post_only,
        "credit_limit": format_amount(-reseller.floor),
    }


async def issue_key(
    conn: Connection, name: str, peppers: Peppers, warrant: Warrant, terms: KeyTerms = ANY_USE
) -> tuple[int, str]:
    """A new key for a reseller: its id and its text, which is shown this once.

    Raises:
        UserError: when there is no such reseller.
    """
    reseller = await find_reseller(conn, name)
    key = new_key()
    hint = key[:_HINT_CHARACTERS]
    mac = mac_of(peppers.current, key)
    # Processes that have only the old pepper yet know the new key too.
    before = None if peppers.old is None else mac_of(peppers.old, key)
    async with transaction(conn):
        key_id = await store.insert_key(conn, reseller.id, mac, hint, terms, before, peppers.id)
        after = {"reseller": name, "begins_with": hint} | _key_terms(terms)
        await record(conn, warrant.act("key.issued", _key_subject(key_id), after=after))
    return key_id, key


def _key_subject(key_id: int) -> Subject:
    return Subject("key", str(key_id))


def _key_terms(terms: KeyTerms) -> dict[str, Any]:
    return {
        "scope": terms.scope,
        "networks": [str(network) for network in terms.networks],
        "expires_at": terms.expires_at.isoformat() if terms.expires_at else None,
    }


async def reseller_keys(conn: Connection, name: str) -> list[ApiKey]:
    """A reseller's keys.

    Raises:
        UserError: when there is no such reseller.
    """
    reseller = await find_reseller(conn, name)
    return await store.list_keys(conn, reseller.id)


async def change_key(
    conn: Connection, key_id: int, change: Callable[[KeyTerms], KeyTerms], warrant: Warrant
) -> ApiKey:
    """Change what a key may do, from where, or until when; seen everywhere within seconds.

    Raises:
        UserError: when there is no such key.
    """
    async with transaction(conn):
        key = await store.lock_key(conn, key_id)
        if key is None:
            raise UserError(f"there is no key {key_id}: see `smm-gateway key list NAME`")
        changed = replace(key, terms=change(key.terms))
        await store.set_key_terms(conn, key_id, changed.terms)
        before, after = differences(_key_terms(key.terms), _key_terms(changed.terms))
        if after:
            act = warrant.act("key.changed", _key_subject(key_id), before=before, after=after)
            await record(conn, act)
    return changed


async def revoke_key(conn: Connection, key_id: int, warrant: Warrant) -> None:
    """End a key; every process refuses it within seconds.

    Raises:
        UserError: when there is no such key.
    """
    async with transaction(conn):
        key = await store.lock_key(conn, key_id)
        if key is None:
            raise UserError(f"there is no key {key_id}: see `smm-gateway key list NAME`")
        if key.revoked_at is not None:
            return
        await store.set_key_revoked(conn, key_id)
        after = {"reseller": key.reseller, "begins_with": key.hint}
        await record(conn, warrant.act("key.revoked", _key_subject(key_id), after=after))
