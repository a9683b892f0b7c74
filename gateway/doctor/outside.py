"""Providers and channels of alerts: reached, funded, and of the same time."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from gateway.alerts.channels import open_outlets
from gateway.alerts.outlet import NotDelivered, Outlet
from gateway.catalogue.upstreams import adapt, timeouts
from gateway.config import Settings
from gateway.doctor.line import Line, fail, ok, warn
from gateway.sealing import MasterKeys
from providers.account import BadAccount
from providers.errors import ProviderError
from providers.probing import ListeningTransport
from providers.registry import is_worked_by_hand
from schemas.config import Budget
from schemas.providers import ProviderRecord
from schemas.upstream import UpstreamBalance

#: A panel's clock counts in whole seconds, and its answer was on its way.
_PANEL_SECONDS_APART = 60.0


@dataclass(frozen=True, slots=True)
class _Said:
    """What a panel said, and when it and this machine thought that was."""

    balance: UpstreamBalance
    budget: Budget
    date: datetime | None
    here: float


async def look_at_providers(
    records: Sequence[ProviderRecord], settings: Settings, keys: MasterKeys | None, *, offline: bool
) -> list[Line]:
    """Whether each account answers and holds money. Panels are asked for their balance alone."""
    if not records:
        return [warn("providers", "there is none", "smm-gateway provider add")]
    lines = await asyncio.gather(
        *(_look_at_provider(record, settings, keys, offline=offline) for record in records)
    )
    return [line for lines_of_one in lines for line in lines_of_one]


async def _look_at_provider(
    record: ProviderRecord, settings: Settings, keys: MasterKeys | None, *, offline: bool
) -> list[Line]:
    check = f"provider {record.name}"
    if record.paused_reason is not None:
        cure = f"smm-gateway provider resume {record.name}"
        return [warn(check, f"paused: {record.paused_reason}", cure)]
    if is_worked_by_hand(record.kind):
        return [ok(check, "worked by hand")]
    if offline or keys is None:
        return [ok(check, "not asked")]
    try:
        said = await _ask(record, settings, keys)
    except (ProviderError, BadAccount) as error:
        cure = f"is the panel up, and its key right? smm-gateway provider probe {record.name}"
        return [fail(check, f"cannot be asked for its balance: {error}", cure)]
    return [_of_balance(check, record, said), *_of_date(record, said)]


async def _ask(record: ProviderRecord, settings: Settings, keys: MasterKeys) -> _Said:
    async def at_once() -> None:
        """There is only one question."""

    async with ListeningTransport(timeouts(settings.dispatch), at_once) as transport:
        adapter, budget = adapt(record, transport, keys)
        balance = await adapter.balance()
        return _Said(balance, budget, _date(transport.heard[-1].date), time.time())


def _of_balance(check: str, record: ProviderRecord, said: _Said) -> Line:
    holds = f"holds {said.balance.amount:f} {said.balance.currency or record.currency}"
    low = said.budget.low_balance
    if said.balance.currency not in (None, record.currency):
        cure = f"smm-gateway provider set {record.name} --set currency={said.balance.currency}"
        return fail(check, f"{holds}, and its costs are counted in {record.currency}", cure)
    if said.balance.amount <= 0:
        return fail(check, holds, "top up the account at the panel")
    if low is not None and said.balance.amount < low:
        return warn(check, f"{holds}, less than its low_balance of {low:f}", "top up the account")
    return ok(check, holds)


def _of_date(record: ProviderRecord, said: _Said) -> list[Line]:
    if said.date is None:
        return []
    apart = said.date.timestamp() - said.here
    words = f"{record.name}'s clock is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) > _PANEL_SECONDS_APART:
        return [warn("clock", words, "where several say so, it is this machine's that is off")]
    return [ok("clock", words)]


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


async def look_at_channels(settings: Settings, *, offline: bool) -> list[Line]:
    """Whether alerts can reach somebody. No message is sent."""
    channels = settings.alerts.channels
    if not channels:
        cure = "set alerts.telegram, alerts.email or alerts.webhook (docs/alerts.md)"
        return [warn("alert channels", "none is set: nobody is told of trouble", cure)]
    if offline:
        return [ok("alert channels", f"{', '.join(channels)} (not tried)")]
    async with open_outlets(settings.alerts) as outlets:
        return await asyncio.gather(*map(_look_at_outlet, outlets))


async def _look_at_outlet(outlet: Outlet) -> Line:
    try:
        return ok("alert channels", f"{outlet.channel}: {await outlet.check()}")
    except NotDelivered as error:
        cure = f"correct alerts.{outlet.channel}, then `smm-gateway alert test`"
        return fail("alert channels", f"{outlet.channel}: {error}", cure)
