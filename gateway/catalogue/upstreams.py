"""Provider accounts: how they are added, and the adapter that speaks for each."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from gateway.catalogue.upstream_secrets import HEADERS, keep_secrets, opened
from gateway.errors import UserError
from gateway.operators.acting import record as write_down
from gateway.operators.acting import require_reason
from gateway.sealing import MasterKeys
from gateway.store import providers as store
from gateway.store import syncs
from gateway.store.connection import Connection, Pool, transaction
from providers.account import BadAccount, ProviderAccount
from providers.base import Provider
from providers.errors import ProviderError
from providers.limits import Timeouts
from providers.refusals import normalised
from providers.registry import create_provider, is_worked_by_hand
from providers.transport import Transport
from schemas.config import Budget, DispatchSettings, SettingsModel, SyncPolicy
from schemas.operators import Subject, Warrant, differences
from schemas.providers import ProviderRecord, ProviderTerms
from schemas.upstream import RefusalGroup

#: The option that names an account's currency, whatever its panel says.
_CURRENCY = "currency"


def timeouts(settings: DispatchSettings) -> Timeouts:
    """The transport's timeouts for these settings: reads get half the patience of ``add``."""
    connect, add = settings.connect_timeout_ms / 1000, settings.timeout_ms / 1000
    return Timeouts(connect=connect, add=add, read=max(add / 2, connect * 1.5), services=add)


def adapt(
    record: ProviderRecord, transport: Transport, keys: MasterKeys
) -> tuple[Provider, Budget]:
    """The adapter of an account, and what we spend there.

    Raises:
        BadAccount: when the account's options cannot work, or its secrets do not open.
    """
    return _adapter_of(opened(record, keys), transport)


def _adapter_of(terms: ProviderTerms, transport: Transport) -> tuple[Provider, Budget]:
    budget = budget_of(terms)
    policy_of(terms, SyncPolicy())
    return create_provider(terms.kind, account_of(terms), transport), budget


def budget_of(record: ProviderRecord | ProviderTerms) -> Budget:
    """What we spend at an account.

    Raises:
        BadAccount: when one of these options cannot be read.
    """
    mine = {k: v for k, v in record.options.items() if k in Budget.model_fields}
    try:
        return Budget.model_validate(mine)
    except ValidationError as error:
        raise _bad_option(record, error) from None


def account_of(terms: ProviderTerms) -> ProviderAccount:
    """What an adapter needs to know of an account: all but what is for ourselves."""
    ours = Budget.model_fields.keys() | SyncPolicy.model_fields.keys()
    theirs = {k: v for k, v in terms.options.items() if k not in ours}
    return ProviderAccount(terms.name, terms.url, terms.key, theirs)


def policy_of(record: ProviderRecord | ProviderTerms, default: SyncPolicy) -> SyncPolicy:
    """How an account's catalogue is followed: its own options, and the settings for the rest.

    Raises:
        BadAccount: when one of these options cannot be read.
    """
    own = {k: v for k, v in record.options.items() if k in SyncPolicy.model_fields}
    settings = {name: getattr(default, name) for name in SyncPolicy.model_fields}
    try:
        return SyncPolicy.model_validate(settings | own)
    except ValidationError as error:
        raise _bad_option(record, error) from None


def _bad_option(record: ProviderRecord | ProviderTerms, error: ValidationError) -> BadAccount:
    first = error.errors()[0]
    return BadAccount(f"provider {record.name}: {first['loc'][0]}: {first['msg']}")


def exchange_of(settings: SettingsModel, name: str, currency: str) -> Decimal:
    """What one unit of an account's currency is worth in the house currency.

    Raises:
        UserError: when no exchange rate is set for it.
    """
    exchange = settings.exchange_rate(currency)
    if exchange is None:
        raise UserError(
            f"{name} keeps its account in {currency}, and there is no exchange rate for it: set "
            f"exchange_rates.{currency} to what one {currency} is worth in {settings.currency}"
        )
    return exchange


async def add_provider(  # noqa: PLR0913 - what an account consists of
    conn: Connection,
    transport: Transport,
    *,
    name: str,
    kind: str,
    url: str,
    key: str,
    options: dict[str, Any],
    settings: SettingsModel,
    keys: MasterKeys,
    warrant: Warrant,
) -> ProviderRecord:
    """Add an account, after the panel has answered with its balance in a currency that we know.

    People have neither an address nor a balance: what is worked by hand is not asked.

    Raises:
        UserError: when the name is taken or is no single line, the panel does not answer, refuses
            the key, or keeps its account in a currency without an exchange rate.
    """
    _require_name(name)
    if await store.get_provider(conn, name) is not None:
        raise UserError(f"there is a provider {name} already: choose another name")
    house = settings.currency
    terms = ProviderTerms(name, kind, url, key, options)
    try:
        adapter, _ = _adapter_of(terms, transport)
        by_hand = is_worked_by_hand(kind)
        _require_address(terms)
        currency_there = None if by_hand else (await adapter.balance()).currency
    except BadAccount as error:
        raise UserError(str(error)) from None
    except ProviderError as error:
        raise UserError(f"{name} was not added, its balance cannot be read: {error}") from None
    stored = _as_stored(options)
    currency = currency_there or house
    exchange_of(settings, name, currency)
    async with transaction(conn):
        made = await store.insert_provider(conn, name, kind, url, currency, stored)
        await keep_secrets(conn, made, terms, keys)
        after = {"kind": kind, "currency": currency} | _loggable(terms)
        await write_down(conn, warrant.act("provider.added", _subject(name), after=after))
    return await find_provider(conn, name)


def _require_name(name: str) -> None:
    """Raises ``UserError`` for what cannot stand in a line: metrics, logs and pages show names."""
    if not name.isprintable() or not name or name != name.strip():
        raise UserError(
            f"{name!r} is no name: use letters, digits and signs, without spaces at its ends"
        )


def _subject(name: str) -> Subject:
    return Subject("provider", name)


def _loggable(terms: ProviderTerms) -> dict[str, Any]:
    """What a log may have of an account: of its address only where it leads, of headers names."""
    address = urlsplit(terms.url)
    headers = terms.options.get(HEADERS)
    names = sorted(headers) if isinstance(headers, dict) else None
    options = dict(terms.options) if headers is None else {**terms.options, HEADERS: names}
    return {"host": address.hostname, "path": address.path, "options": options}


def _require_address(terms: ProviderTerms) -> None:
    """Raises ``UserError`` for an upstream that is no people and lacks its address or key."""
    if not is_worked_by_hand(terms.kind) and not (terms.url.strip() and terms.key.strip()):
        raise UserError(f"{terms.name}: a provider of kind {terms.kind} needs --url and --key")


async def pause_provider(
    conn: Connection, name: str, warrant: Warrant, *, paused: bool
) -> ProviderRecord:
    """Send nothing to an account, for the warrant's reason; or end the pause.

    Orders that wait there move to other routes where they have one, and wait otherwise.

    Raises:
        UserError: when there is no such account, or no reason in the text.
    """
    reason = require_reason(warrant) if paused else None
    async with transaction(conn):
        record = await store.lock_provider(conn, name) or await find_provider(conn, name)
        await store.set_provider_paused(conn, record.id, reason)
        before, after = {"paused": record.paused_reason}, {"paused": reason}
        action = "provider.paused" if paused else "provider.resumed"
        act = warrant.act(action, _subject(name), before=before, after=after)
        if before != after:
            await write_down(conn, act)
    return await find_provider(conn, name)


async def change_provider(
    pool: Pool,
    transport: Transport,
    name: str,
    change: Callable[[ProviderTerms], ProviderTerms],
    settings: SettingsModel,
    keys: MasterKeys,
    warrant: Warrant,
) -> ProviderRecord:
    """Give an account another address, key or options; lanes follow within a second.

    What ``change`` makes of it is proved by an adapter before it is stored. Nothing is asked of
    the panel, so that an account can be mended while its panel is away; only an account that gives
    up its option ``currency`` needs to hear what the panel counts in.

    Raises:
        BadAccount: when its secrets do not open.
        UserError: when there is no such account, the result cannot work, or there is no exchange
            rate for its currency.
    """
    async with pool.acquire() as conn:
        before = opened(await find_provider(conn, name), keys)
    told = await _currency_instead(before, change(before), transport, settings)
    async with pool.acquire() as conn, transaction(conn):
        record = await store.lock_provider(conn, name)
        if record is None:
            return await find_provider(conn, name)  # raises, with the known names
        changed = change(opened(record, keys))
        try:
            _adapter_of(changed, transport)
        except BadAccount as error:
            raise UserError(str(error)) from None
        _require_address(changed)
        options = _as_stored(changed.options)
        await store.set_provider_address(conn, record.id, changed.url)
        await store.set_provider_options(conn, record.id, options)
        await keep_secrets(conn, record.id, changed, keys)
        await _count_in(conn, record, changed, told, settings)
        await _log_change(conn, warrant, opened(record, keys), changed)
        return await find_provider(conn, name)


async def _log_change(
    conn: Connection, warrant: Warrant, before: ProviderTerms, after: ProviderTerms
) -> None:
    was, now = differences(_loggable(before), _loggable(after))
    if after.key != before.key:
        now["key"] = "another"
    if after != before:
        subject = _subject(before.name)
        await write_down(conn, warrant.act("provider.changed", subject, before=was, after=now))


async def _currency_instead(
    before: ProviderTerms, after: ProviderTerms, transport: Transport, settings: SettingsModel
) -> str | None:
    """What the panel says that it counts in, where the option that said so is given up."""
    if _CURRENCY not in before.options or _CURRENCY in after.options:
        return None
    try:
        adapter, _ = _adapter_of(after, transport)
        return (await adapter.balance()).currency or settings.currency
    except BadAccount as error:
        raise UserError(str(error)) from None
    except ProviderError as error:
        raise UserError(
            f"{before.name} was not changed, the panel cannot be asked for its currency: {error}"
        ) from None


async def _count_in(
    conn: Connection,
    record: ProviderRecord,
    changed: ProviderTerms,
    told: str | None,
    settings: SettingsModel,
) -> None:
    """Store the currency that the option names, else what was ``told``.

    Costs are converted anew by a sync that is due at once.
    """
    named = changed.options.get(_CURRENCY)
    currency = named if isinstance(named, str) else told or record.currency
    if currency == record.currency:
        return
    exchange_of(settings, record.name, currency)
    await store.set_provider_currency(conn, record.id, currency)
    await syncs.set_sync_due(conn, record.id)


def _as_stored(options: dict[str, Any]) -> str:
    """The options as JSON that the database takes, without those that are kept sealed.

    Raises:
        UserError: where there is none.
    """
    try:
        json.dumps(options)
        text = json.dumps({k: v for k, v in options.items() if k != HEADERS}, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError):
        raise UserError("an option is neither text, number, flag, list nor mapping") from None
    if "\\u0000" in text:
        raise UserError("an option contains a NUL character, which cannot be stored")
    return text


def taught(terms: ProviderTerms, text: str, group: RefusalGroup) -> ProviderTerms:
    """The account, with an operator's decision on what a refusal in these words means.

    Raises:
        UserError: for a text without words.
    """
    if not normalised(text):
        raise UserError("the text is empty: give the panel's words exactly as the attempt shows")
    known = terms.options.get("known_refusals", {})
    others = {t: g for t, g in known.items() if normalised(t) != normalised(text)}
    options = terms.options | {"known_refusals": {**others, text: str(group)}}
    return replace(terms, options=options)


async def find_provider(conn: Connection, name: str) -> ProviderRecord:
    """The account of that name.

    Raises:
        UserError: when there is none.
    """
    record = await store.get_provider(conn, name)
    if record is None:
        known = ", ".join(p.name for p in await store.list_providers(conn)) or "none yet"
        raise UserError(f"there is no provider {name}; known are: {known}")
    return record
