"""Price rules as operators make, compare and give them up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from gateway.catalogue.pricing import PriceRules, offered
from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.store import prices as store
from gateway.store import services
from gateway.store.connection import Connection, Pool, transaction
from schemas.catalogue import PriceRule, Service
from schemas.money import Micros
from schemas.operators import Subject, Warrant


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A service whose rate would change; None where it is not for sale."""

    service: Service
    now: Micros | None
    then: Micros | None


async def set_rules(pool: Pool, rules: Sequence[PriceRule], warrant: Warrant) -> list[PriceRule]:
    """Make rules, or change those of the same scopes; returns them as they are then.

    Raises:
        AlreadyDone: when the same request has done so before.
    """
    async with pool.acquire() as conn, transaction(conn):
        before = {rule.scope: rule for rule in await store.list_price_rules(conn)}
        for rule, one in zip(rules, warrant.parts(len(rules)), strict=True):
            rule_id = await store.set_price_rule(conn, rule)
            earlier = before.get(rule.scope)
            was = _fields(earlier) if earlier is not None else None
            subject = Subject("price_rule", str(rule_id))
            await record(conn, one.act("price.set", subject, before=was, after=_fields(rule)))
        made = {rule.scope: rule for rule in await store.list_price_rules(conn)}
    return [made[rule.scope] for rule in rules]


async def remove_rule(pool: Pool, rule_id: int, warrant: Warrant) -> PriceRule:
    """Give up a rule; returns it as it was.

    Raises:
        AlreadyDone: when the same request has done so before.
        UserError: when there is no such rule, or all prices rest on it.
    """
    async with pool.acquire() as conn, transaction(conn):
        rules = await store.list_price_rules(conn)
        gone = next((rule for rule in rules if rule.id == rule_id), None)
        if gone is None:
            raise UserError(f"there is no rule {rule_id}: see `smm-gateway price list`")
        if not any(part is not None for part in gone.scope):
            raise UserError(
                "the rule for everything stays, because all prices rest on it: "
                "change it with `smm-gateway price set --markup ...`"
            )
        await store.set_price_rule_removed(conn, rule_id)
        subject = Subject("price_rule", str(rule_id))
        await record(conn, warrant.act("price.removed", subject, before=_fields(gone)))
    return gone


def _fields(rule: PriceRule) -> dict[str, Any]:
    named = {
        "reseller": rule.reseller_id,
        "service": rule.service_id,
        "category": rule.category,
        "provider": rule.provider_id,
        "round": rule.step,
    }
    markup = {"markup": f"{rule.markup.normalize():f}"}
    return markup | {name: value for name, value in named.items() if value is not None}


async def preview_rules(conn: Connection, rules: Sequence[PriceRule]) -> list[PriceChange]:
    """What would change for the resellers that these rules concern, if they were made."""
    current = await store.list_price_rules(conn)
    return compare(await services.list_services(conn), current, rules)


def compare(
    rows: Iterable[Service], current: Sequence[PriceRule], rules: Sequence[PriceRule]
) -> list[PriceChange]:
    """The services whose rates ``rules`` would change, seen by the reseller whom they name."""
    scopes = {rule.scope for rule in rules}
    now = PriceRules(current)
    then = PriceRules([*(rule for rule in current if rule.scope not in scopes), *rules])
    named = rules[0].reseller_id if rules else None
    changes = []
    for service in rows:
        before, after = offered(service, now, named), offered(service, then, named)
        change = PriceChange(
            service, before.rate if before else None, after.rate if after else None
        )
        if change.now != change.then:
            changes.append(change)
    return changes


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which services a bulk markup is for; what is None does not narrow it. Case is ignored."""

    category: str | None = None
    provider: str | None = None
    type: str | None = None
    search: str | None = None

    def takes(self, service: Service) -> bool:
        """Whether the service is meant."""
        return (
            (self.category is None or self.category.casefold() == service.category.casefold())
            and (self.provider is None or any(r.provider == self.provider for r in service.routes))
            and (self.type is None or self.type.casefold() == service.type.casefold())
            and (self.search is None or self.search.casefold() in service.name.casefold())
        )


async def markup_rules(
    conn: Connection, chosen: Chosen, markup: Decimal, *, step: Micros | None = None
) -> list[PriceRule]:
    """A rule for each of the chosen services. Those with a fixed rate keep it, and have none.

    Raises:
        UserError: when no service is meant that follows its rule.
    """
    rows = [s for s in await services.list_services(conn) if s.follows and chosen.takes(s)]
    if not rows:
        raise UserError("no service with a price by rule is meant: see `smm-gateway service list`")
    rule = PriceRule(0, markup, step)
    return [replace(rule, service_id=service.id) for service in rows]
