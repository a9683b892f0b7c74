"""Importing an upstream's catalogue: what we sell of it, and under which price rule."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

from gateway.catalogue.planning import Offer, Offers, judged
from gateway.catalogue.upstreams import exchange_of
from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.store import prices, services, syncs
from gateway.store.connection import Connection, Pool, transaction
from schemas.catalogue import NewService, PriceRule
from schemas.config import SettingsModel
from schemas.operators import Subject, Warrant
from schemas.providers import ProviderRecord
from schemas.services import SERVICE_TYPES
from schemas.upstream import RefusedRow, UpstreamCatalogue, UpstreamService

LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows of a catalogue are meant; what is None does not narrow it."""

    ids: Collection[str] | None = None
    category: str | None = None
    type: str | None = None
    search: str | None = None

    def takes(self, row: UpstreamService) -> bool:
        """Whether the row is meant. Words are compared without regard to case."""
        return (
            (self.ids is None or row.service in self.ids)
            and (self.category is None or row.category.casefold() == self.category.casefold())
            and (self.type is None or row.type.casefold() == self.type.casefold())
            and (self.search is None or self.search.casefold() in row.name.casefold())
        )

    @property
    def narrows_rows(self) -> bool:
        """Whether single rows are chosen, other than by their category."""
        return any(part is not None for part in (self.ids, self.type, self.search))


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: ``added`` are our new service ids; ``known`` were there before.

    ``fresh`` are the services as they were added, or would be.
    """

    added: tuple[int, ...]
    known: tuple[int, ...]
    refused: tuple[RefusedRow, ...]
    fresh: tuple[NewService, ...] = ()


def new_service(offer: Offer) -> NewService:
    """The service that we sell for an upstream's row; a type unknown to us is switched off."""
    row = offer.row
    return NewService(
        upstream_service=row.service,
        name=row.name[:LONGEST_NAME],
        type=row.type,
        category=row.category[:LONGEST_NAME] or "Other",
        rate=None,
        minimum=row.minimum,
        maximum=row.maximum,
        # We make the runs of a drip-feed, whatever the upstream can do.
        dripfeed=row.type_known and SERVICE_TYPES[row.type].dripfeed,
        refill=row.refill,
        cancel=row.cancel,
        enabled=row.type_known,
        disabled_reason=None if row.type_known else f"the type {row.type!r} is not known",
        cost=offer.cost,
        upstream_name=row.name,
        upstream_rate=row.rate,
    )


async def import_services(  # noqa: PLR0913 - what an import consists of
    pool: Pool,
    provider: ProviderRecord,
    catalogue: UpstreamCatalogue,
    settings: SettingsModel,
    warrant: Warrant,
    *,
    choice: Choice | None = None,
    markup_percent: Decimal | None = None,
    dry_run: bool = False,
) -> Imported:
    """Sell what an upstream offers; nothing is added twice.

    With ``markup_percent`` a price rule is made: for the provider (and the category that is
    chosen), or, where single rows are chosen, for each service that is added.

    Raises:
        UserError: when there is a rule with another markup, no exchange rate, or no such category.
    """
    choice = choice or Choice()
    offers = judged(catalogue, exchange_of(settings, provider.name, provider.currency))
    _require_category(choice.category, [o.row.category for o in offers.sound.values()])
    wanted = [offer for offer in offers.sound.values() if choice.takes(offer.row)]
    async with pool.acquire() as conn, transaction(conn):
        ours = await services.lock_routes(conn, provider.id)
        fresh = [new_service(o) for o in wanted if o.row.service not in ours]
        known = [ours[o.row.service] for o in wanted if o.row.service in ours]
        refused = _refused(offers, choice)
        if dry_run:
            return Imported((), tuple(known), refused, tuple(fresh))
        added = await services.insert_services(conn, provider.id, fresh) if fresh else []
        if markup_percent is not None:
            single = added if choice.narrows_rows else None
            # A rule names the category as it is spelt on the services.
            spelt = wanted[0].row.category if choice.category and wanted else choice.category
            await _set_markup(conn, provider, spelt, markup_percent, single)
        if offers.sound:
            rows, sync_ms = len(offers.sound), settings.catalogue.sync_ms
            await syncs.insert_sync_good(conn, provider.id, rows, offers.ids, sync_ms)
        percent = None if markup_percent is None else f"{markup_percent.normalize():f}"
        after = {"added": len(added), "known": len(known), "markup": percent}
        subject = Subject("provider", provider.name)
        await record(conn, warrant.act("provider.imported", subject, after=after))
    return Imported(tuple(added), tuple(known), refused, tuple(fresh))


def _require_category(wanted: str | None, offered: Iterable[str]) -> None:
    spelt = {category.casefold(): category for category in offered}
    if wanted is None or wanted.casefold() in spelt:
        return
    near = get_close_matches(wanted.casefold(), sorted(spelt), n=3, cutoff=0.0)
    nearest = ", ".join(repr(spelt[name]) for name in near) or "none: it offers nothing"
    raise UserError(f"no category of the provider is {wanted!r}; the nearest: {nearest}")


def _refused(offers: Offers, choice: Choice) -> tuple[RefusedRow, ...]:
    """Of a refused row only the id is known for sure."""
    return tuple(r for r in offers.refused if choice.ids is None or r.service in choice.ids)


async def _set_markup(
    conn: Connection,
    provider: ProviderRecord,
    category: str | None,
    markup: Decimal,
    single: Iterable[int] | None,
) -> None:
    """Make the rules of an import: for ``single`` services, else for the whole provider."""
    if single is not None:
        for service_id in single:
            await prices.set_price_rule(conn, PriceRule(0, markup, service_id=service_id))
        return
    rule = PriceRule(0, markup, provider_id=provider.id, category=category)
    same = [r for r in await prices.list_price_rules(conn) if r.scope == rule.scope]
    if not same:
        await prices.set_price_rule(conn, rule)
    elif same[0].markup != markup:
        raise UserError(
            f"{provider.name} has a price rule of {same[0].markup.normalize():f} % already, which "
            "also holds for what is there: change it with `smm-gateway price set`"
        )
