"""Alerts in the background: one process looks, any delivers, all show how it stands."""

import math
from collections import Counter
from collections.abc import Sequence

from gateway.alerts.delivering import deliver
from gateway.alerts.outlet import Outlet
from gateway.alerts.watching import Standing, look, standing
from gateway.metrics import ALERTS_OPEN, ALERTS_UNDELIVERED, BACKUP_AGE, BACKUP_VERIFIED_AGE
from gateway.store.connection import Pool
from schemas.alerts import AlertKind
from schemas.config import SettingsModel

_LONGEST_SECONDS = 5.0


class BackgroundAlerts:
    """Looks for trouble when that is due, and sends what is due by every channel that is set."""

    def __init__(self, pool: Pool, settings: SettingsModel, outlets: Sequence[Outlet]) -> None:
        self._pool = pool
        self._settings = settings
        self._outlets = outlets

    async def work(self) -> float:
        """One look and one delivery; the seconds until the next."""
        await look(self._pool, self._settings)
        await deliver(self._pool, self._outlets)
        _show(await standing(self._pool), self._outlets)
        return min(self._settings.alerts.every_ms / 1000, _LONGEST_SECONDS)


def _show(now: Standing, outlets: Sequence[Outlet]) -> None:
    told = Counter(alert.kind for alert in now.alerts if alert.told_at is not None)
    for kind in AlertKind:
        ALERTS_OPEN.labels(kind).set(told[kind])
    waiting = Counter(one.channel for one in now.undelivered if one.failure is not None)
    for outlet in outlets:
        ALERTS_UNDELIVERED.labels(outlet.channel).set(waiting[outlet.channel])
    BACKUP_AGE.set(math.nan if now.backup_age is None else now.backup_age)
    proven = now.backup_verified_age
    BACKUP_VERIFIED_AGE.set(math.nan if proven is None else proven)
