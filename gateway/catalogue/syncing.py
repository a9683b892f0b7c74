"""Taking over what an upstream's catalogue says: by command, and from time to time by itself."""

import time
from collections import Counter
from collections.abc import Callable

import structlog

from gateway.catalogue.planning import Plan, State, broken_catalogue, judged, plan
from gateway.catalogue.upstreams import exchange_of, policy_of
from gateway.errors import UserError
from gateway.metrics import (
    CATALOGUE_AGE,
    CATALOGUE_CHANGES,
    CATALOGUE_CHANGES_HELD,
    upstream_call,
)
from gateway.operators.acting import record as write_down
from gateway.store import changes, providers, routes, services, syncs
from gateway.store.connection import Connection, Pool, transaction
from providers.account import BadAccount
from providers.base import Provider
from providers.errors import ProviderError
from providers.registry import UnknownKind, is_worked_by_hand
from schemas.changes import ChangeState
from schemas.config import SettingsModel
from schemas.operators import Subject, Warrant
from schemas.providers import ProviderRecord
from schemas.upstream import UpstreamCatalogue

log = structlog.get_logger()

#: Whoever reads a catalogue has it for so long; longer than any panel takes to answer.
_LEASE_MS = 600_000
_RETRY_MS = 900_000
_LOOK_SECONDS = 10.0
_REPLACED = "the upstream has changed it again"


async def sync_catalogue(
    pool: Pool,
    provider: ProviderRecord,
    catalogue: UpstreamCatalogue,
    settings: SettingsModel,
    *,
    dry_run: bool = False,
    accept_smaller: bool = False,
    warrant: Warrant | None = None,
) -> Plan:
    """Take a catalogue over; with ``dry_run`` only say what would change.

    ``warrant`` is that of an operator who has asked for it; others run by themselves.
    ``accept_smaller`` believes a catalogue that lost more than half of its services.

    Raises:
        UserError: for a catalogue from which nothing may be taken over.
        BadAccount: for an option that cannot be read.
    """
    policy = policy_of(provider, settings.catalogue)
    offers = judged(catalogue, exchange_of(settings, provider.name, provider.currency))
    async with pool.acquire() as conn, transaction(conn):
        await services.lock_routes(conn, provider.id)
        # What is read now is written back as a whole: an operator's word may not come in between.
        await routes.lock_services_and_routes(conn, provider.id)
        record = await syncs.get_sync(conn, provider.id)
        rows = record.rows if record is not None else 0
        broken = broken_catalogue(offers, 0 if accept_smaller else rows)
        if broken is not None:
            raise UserError(f"{provider.name} answered with {broken}: nothing was changed")
        known = record.known if record is not None and record.good_at is not None else None
        found = plan(await _state(conn, provider.id, known), offers, policy)
        if not dry_run:
            await _write(conn, provider.id, found)
            good, sync_ms = len(offers.sound), settings.catalogue.sync_ms
            await syncs.set_sync_good(conn, provider.id, good, offers.ids, sync_ms)
            if warrant is not None:
                after = {"changes": len(found.changes), "accept_smaller": accept_smaller}
                subject = Subject("provider", provider.name)
                await write_down(conn, warrant.act("provider.synced", subject, after=after))
    if not dry_run:
        for (kind, state), number in Counter((c.kind, c.state) for c in found.changes).items():
            CATALOGUE_CHANGES.labels(kind, state).inc(number)
    return found


async def _state(conn: Connection, provider_id: int, known: frozenset[str] | None) -> State:
    decisions = await changes.list_decisions(conn, provider_id)
    return State(
        provider_id,
        tuple(await services.list_services_of(conn, provider_id)),
        await changes.list_seen(conn, provider_id),
        {(c.route_id, c.kind): c for c in decisions if c.route_id is not None},
        known,
    )


async def _write(conn: Connection, provider_id: int, found: Plan) -> None:
    if found.routes:
        await services.set_routes(conn, found.routes)
    if found.services:
        await services.set_limits_and_flags(conn, found.services)
    if found.seen:
        await changes.set_seen(conn, found.seen)
    if found.closed:
        # Nobody has decided on it, so that it may come up again.
        await changes.set_changes_decided(conn, found.closed, ChangeState.APPLIED, _REPLACED)
    if found.changes:
        await changes.insert_changes(conn, provider_id, found.changes)


def _tell(provider: ProviderRecord, found: Plan) -> None:
    waiting = sum(change.state is ChangeState.HELD for change in found.changes)
    told = log.warning if waiting or any(not r.enabled for r in found.routes) else log.info
    told("catalogue.synced", provider=provider.name, changes=len(found.changes), held=waiting)


def _has_catalogue(provider: ProviderRecord) -> bool:
    try:
        return not is_worked_by_hand(provider.kind)
    except UnknownKind:
        # Its sync fails, which says what is wrong with the account.
        return True


class CatalogueSyncs:
    """Syncs that run by themselves, each catalogue in one process at a time."""

    def __init__(
        self, pool: Pool, settings: SettingsModel, adapt: Callable[[ProviderRecord], Provider]
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._adapt = adapt

    async def work(self) -> float:
        """Sync one catalogue that is due; returns the seconds until another look."""
        sync_ms = self._settings.catalogue.sync_ms
        async with self._pool.acquire() as conn:
            ids = [r.id for r in await providers.list_providers(conn) if _has_catalogue(r)]
            await syncs.insert_syncs(conn, ids, sync_ms)
            due = await syncs.claim_sync(conn, ids, _LEASE_MS)
            record = await providers.get_provider_by_id(conn, due) if due is not None else None
        if record is not None:
            await self._sync(record)
        async with self._pool.acquire() as conn:
            for name, age in (await syncs.list_catalogue_ages(conn)).items():
                CATALOGUE_AGE.labels(name).set(age)
            CATALOGUE_CHANGES_HELD.set(await changes.count_held_changes(conn))
        return 0 if record is not None else min(_LOOK_SECONDS, sync_ms / 2000)

    async def _sync(self, record: ProviderRecord) -> None:
        try:
            adapter = self._adapt(record)
            with upstream_call(record.name, "services", time.monotonic):
                catalogue = await adapter.services()
            _tell(record, await sync_catalogue(self._pool, record, catalogue, self._settings))
        except (ProviderError, BadAccount, UserError) as error:
            again_ms = min(_RETRY_MS, self._settings.catalogue.sync_ms)
            log.error("catalogue.not_synced", provider=record.name, reason=str(error))
            async with self._pool.acquire() as conn:
                await syncs.set_sync_failed(conn, record.id, str(error), again_ms)
