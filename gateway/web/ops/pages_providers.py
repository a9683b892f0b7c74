"""Providers: how they do, what they hold, and what operators do about it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from gateway.catalogue.asking import probe_provider
from gateway.catalogue.funds import funds_of, hours_left, set_alias
from gateway.catalogue.upstreams import pause_provider
from gateway.errors import UserError
from gateway.operators.acting import require_reason
from gateway.store import changes, measures, operator_actions, provider_pulse, providers, syncs
from gateway.store.connection import Connection
from gateway.store.provider_pulse import HourlyBalance, Pulse
from gateway.web.ops import charts
from gateway.web.ops.visit import NotFound, Visit
from providers.account import BadAccount
from schemas.changes import ChangeState
from schemas.money import UNIT
from schemas.operators import Role, Subject
from schemas.providers import ProviderRecord

_HERE = "/ops/providers"
_REFRESH_SECONDS = 10
_PULSE = timedelta(hours=1)
_READINGS = 30
#: So few attempts say nothing about an account.
_FEWEST = 5


def health_of(record: ProviderRecord, pulse: Pulse) -> tuple[str, str]:
    """How an account stands, in a word and as a tone."""
    if record.paused_reason is not None:
        return "paused", "warn"
    if record.held_until is not None and record.held_until > datetime.now(UTC):
        return "held", "bad"
    if pulse.tried >= _FEWEST and pulse.failed * 2 > pulse.tried:
        return "does not answer", "bad"
    if pulse.failed:
        return "some errors", "warn"
    return ("well", "good") if pulse.tried else ("idle", "calm")


async def show_all(visit: Visit) -> web.Response:
    """All accounts, the troubled ones among them told apart."""
    async with visit.services.pool.acquire() as conn:
        rows = await _rows(conn)
        held = await changes.count_held_changes(conn)
    words = await visit.provider_words()
    return await visit.page(
        "providers.html",
        title="Providers",
        refresh=_REFRESH_SECONDS,
        rows=rows,
        held_changes=held,
        **words,
    )


async def _rows(conn: Connection) -> list[dict[str, Any]]:
    pulses = {
        pulse.provider_id: pulse for pulse in await provider_pulse.list_pulses(conn, _since())
    }
    paces = {pace.name: pace for pace in await measures.list_account_measures(conn)}
    read = {sync.provider_id: sync for sync in await syncs.list_syncs(conn)}
    held: dict[int, list[HourlyBalance]] = {}
    for balance in await provider_pulse.list_hourly_balances(conn):
        held.setdefault(balance.provider_id, []).append(balance)
    rows = []
    for record in await providers.list_providers(conn):
        pulse, pace = pulses[record.id], paces[record.name]
        rows.append(
            {
                "record": record,
                "pulse": pulse,
                "health": health_of(record, pulse),
                "hours": hours_left(pace.balance, pace.spent, pace.hours),
                "lag": pace.lag,
                "sync": read.get(record.id),
                "balances": held.get(record.id, []),
                "spark": charts.sparkline([b.amount / UNIT for b in held.get(record.id, [])]),
            }
        )
    return rows


def _since() -> datetime:
    return datetime.now(UTC) - _PULSE


async def _record_of(visit: Visit) -> ProviderRecord:
    number = visit.number()
    async with visit.services.pool.acquire() as conn:
        everyone = await providers.list_providers(conn)
    found = next((record for record in everyone if record.id == number), None)
    if found is None:
        raise NotFound("There is no such provider.")
    return found


async def show(visit: Visit) -> web.Response:
    """One account."""
    return await _page(visit, await _record_of(visit))


async def _page(visit: Visit, record: ProviderRecord, **found: Any) -> web.Response:
    async with visit.services.pool.acquire() as conn:
        row = next(row for row in await _rows(conn) if row["record"].id == record.id)
        funds = await funds_of(conn, record.name, _READINGS)
        held = await changes.list_changes(
            conn, state=ChangeState.HELD, provider=record.name, limit=_READINGS
        )
        acts = await operator_actions.list_actions(
            conn, subject=Subject("provider", record.name), limit=10
        )
    words = await visit.provider_words()
    balances = row["balances"]
    chart = charts.plot(
        [balance.at for balance in balances],
        [charts.Line("balance", [balance.amount / UNIT for balance in balances])],
        unit=record.currency,
    )
    return await visit.page(
        "provider.html",
        **{
            "title": words["shown_provider"](record.name),
            "refresh": 0 if found else _REFRESH_SECONDS,
            "row": row,
            "record": record,
            "funds": funds,
            "chart": chart,
            "held": held,
            "acts": acts,
            "host": urlsplit(record.url).hostname,
            "findings": None,
            "report": None,
        }
        | words
        | found,
    )


async def pause(visit: Visit) -> web.Response:
    """Send it nothing, or end that."""
    record = await _record_of(visit)
    paused = visit.place("verb") == "pause"
    if visit.place("verb") not in ("pause", "resume"):
        raise NotFound("There is no such page.")

    async def work() -> str:
        require_reason(visit.warrant())
        async with visit.services.pool.acquire() as conn:
            await pause_provider(conn, record.name, visit.warrant(), paused=paused)
        return f"{record.name} is {'paused' if paused else 'asked again'}."

    return await visit.act(f"{_HERE}/{record.id}", work)


async def name(visit: Visit) -> web.Response:
    """What support staff see in place of its name."""
    record = await _record_of(visit)

    async def work() -> str:
        alias = visit.form.text("alias") or None
        async with visit.services.pool.acquire() as conn:
            named = await set_alias(conn, record.name, alias, visit.warrant())
        return f"Support staff see {named.name_for(Role.SUPPORT)} for {record.name}."

    return await visit.act(f"{_HERE}/{record.id}", work)


async def probe(visit: Visit) -> web.Response:
    """Ask the panel how it wants to be spoken to, by calls that only read."""
    record, services = await _record_of(visit), visit.services
    try:
        findings, report = await probe_provider(
            services.pool, record.name, services.settings.dispatch, services.keys, visit.warrant()
        )
    except BadAccount as error:
        return await visit.tell_error(UserError(str(error)), f"{_HERE}/{record.id}")
    except UserError as error:
        return await visit.tell_error(error, f"{_HERE}/{record.id}")
    return await _page(visit, record, findings=findings, report=report)


ROUTES = (
    ("GET", _HERE, show_all),
    ("GET", _HERE + "/{id}", show),
    ("POST", _HERE + "/{id}/alias", name),
    ("POST", _HERE + "/{id}/probe", probe),
    ("POST", _HERE + "/{id}/{verb}", pause),
)
