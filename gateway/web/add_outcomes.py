"""Carries the counts of answered and refused orders from this process to all, minute by minute."""

from prometheus_client.registry import Collector

from gateway.store import add_outcomes as store
from gateway.store.connection import Pool, transaction

_KEPT_DAYS = 35


class AddOutcomes:
    """Adds what ``requests`` (the metric ``smm_requests``) has counted since the last time."""

    def __init__(self, pool: Pool, requests: Collector) -> None:
        self._pool = pool
        self._requests = requests
        self._written = self._counted()

    def _counted(self) -> dict[str, int]:
        return {
            sample.labels["outcome"]: int(sample.value)
            for metric in self._requests.collect()
            if metric.name == "smm_requests"
            for sample in metric.samples
            if sample.labels["action"] == "add"
        }

    async def write(self) -> None:
        """Write what is new, and forget what is old."""
        now = self._counted()
        fresh = {
            outcome: number - self._written.get(outcome, 0)
            for outcome, number in now.items()
            if number > self._written.get(outcome, 0)
        }
        async with self._pool.acquire() as conn, transaction(conn):
            if fresh:
                await store.insert_add_outcomes(conn, fresh)
            await store.delete_old_add_outcomes(conn, _KEPT_DAYS)
        self._written = now
