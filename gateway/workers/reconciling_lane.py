"""The lane that finds out what became of one account's orders in doubt."""

from gateway.catalogue.spending import OverBudget
from gateway.orders.reconciliation import Reconciler
from gateway.workers.loop import Loop
from providers.base import Provider
from schemas.providers import ProviderRecord

#: New doubts are found so soon; between looks at the same ones lies the set interval.
_IDLE_SECONDS = 1.0


class ReconcilingLane:
    """Looks at one account's orders in doubt, within the budget for reading."""

    def __init__(self, reconciler: Reconciler, adapter: Provider, record: ProviderRecord) -> None:
        self.record = record
        self._reconciler = reconciler
        self._adapter = adapter
        self.loop = Loop(f"reconcile:{record.name}", self._work)

    async def stop(self) -> None:
        """Ask for nothing more; a look that is cut short is repeated."""
        await self.loop.stop()

    async def _work(self) -> float:
        try:
            await self._reconciler.look(self._adapter, self.record)
        except OverBudget as over:
            return over.seconds
        return _IDLE_SECONDS
