"""What each kind of job does: the same use cases as the commands."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

from gateway.catalogue.importing import Choice, import_services
from gateway.catalogue.price_rules import Chosen, markup_rules, set_rules
from gateway.catalogue.upstreams import find_provider
from gateway.errors import UserError
from gateway.operators.acting import AlreadyDone
from gateway.operators.jobs import Runner, Tell
from gateway.orders.bulk import Bulk, run_bulk
from gateway.reports.selling import sales_report, sales_sheet
from gateway.store.connection import Pool
from providers.base import Provider
from providers.errors import ProviderError
from schemas.config import SettingsModel
from schemas.doubts import Decision
from schemas.jobs import Job, JobKind
from schemas.order_work import Deed, OrderAction, SeenOrder
from schemas.providers import ProviderRecord
from schemas.reports import Dimension, Period


def bulk_arguments(seen: Sequence[SeenOrder], deed: Deed) -> dict[str, Any]:
    """A bulk as a job: these orders as they were seen, whatever the filter finds later."""
    return {
        "orders": [list(order) for order in seen],
        "action": deed.action,
        "decision": deed.decision,
        "remains": deed.remains,
    }


def bulk_result(done: Bulk) -> dict[str, Any]:
    """What a bulk did, as JSON; amounts in micro-units."""
    return {
        "refund": done.refund,
        "numbers": {str(result): number for result, number in done.numbers.items()},
        "orders": [asdict(effect) for effect in done.effects],
    }


class JobKinds:
    """The runners, with what they need to reach database and upstreams."""

    def __init__(
        self, pool: Pool, settings: SettingsModel, adapt: Callable[[ProviderRecord], Provider]
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._adapt = adapt
        self.runners: Mapping[JobKind, Runner] = {
            JobKind.BULK: self._bulk,
            JobKind.IMPORT: self._import,
            JobKind.MARKUP: self._mark_up,
            JobKind.REPORT: self._report,
        }

    async def _bulk(self, job: Job, tell: Tell) -> Mapping[str, Any]:
        given = job.arguments
        decision = Decision(given["decision"]) if given["decision"] else None
        deed = Deed(OrderAction(given["action"]), decision, given["remains"])
        seen = [SeenOrder(*order) for order in given["orders"]]
        done = await run_bulk(
            self._pool,
            seen,
            deed,
            job.warrant,
            correction_ms=self._settings.tracking.correction_ms,
            tell=lambda number: tell(number, len(seen)),
        )
        return bulk_result(done)

    async def _import(self, job: Job, tell: Tell) -> Mapping[str, Any]:
        given = job.arguments
        tell(0, 2)
        async with self._pool.acquire() as conn:
            record = await find_provider(conn, given["provider"])
        try:
            catalogue = await self._adapt(record).services()
        except ProviderError as error:
            raise UserError(f"{record.name}: {error}") from None
        tell(1, 2)
        markup = None if given.get("markup") is None else Decimal(given["markup"])
        choice = Choice(
            ids=given.get("ids"),
            category=given.get("category"),
            type=given.get("type"),
            search=given.get("search"),
        )
        try:
            done = await import_services(
                self._pool,
                record,
                catalogue,
                self._settings,
                job.warrant,
                choice=choice,
                markup_percent=markup,
            )
        except AlreadyDone:
            # By a worker that died before it could say so.
            return {"added": None}
        tell(2, 2)
        refused = [{"service": row.service, "reason": row.reason} for row in done.refused]
        return {"added": len(done.added), "known": len(done.known), "refused": refused}

    async def _mark_up(self, job: Job, tell: Tell) -> Mapping[str, Any]:
        given = job.arguments
        names = ("category", "provider", "type", "search")
        chosen = Chosen(**{name: given.get(name) for name in names})
        markup = Decimal(given["percent"])
        async with self._pool.acquire() as conn:
            rules = await markup_rules(conn, chosen, markup, step=given.get("step"))
        tell(0, len(rules))
        with suppress(AlreadyDone):  # by a worker that died before it could say so
            await set_rules(self._pool, rules, job.warrant)
        tell(len(rules), len(rules))
        return {"services": len(rules)}

    async def _report(self, job: Job, tell: Tell) -> Mapping[str, Any]:
        given = job.arguments
        dimension = Dimension(given["by"])
        rows = await sales_report(
            self._pool,
            Period(given["per"]),
            dimension,
            first=date.fromisoformat(given["first"]),
            last=date.fromisoformat(given["last"]),
            time_zone=given["time_zone"],
            tell=tell,
        )
        return {"rows": len(rows), "csv": sales_sheet(rows, dimension)}
