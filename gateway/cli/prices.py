"""``smm-gateway price``."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.catalogue import upstreams
from gateway.catalogue.price_rules import (
    Chosen,
    PriceChange,
    markup_rules,
    preview_rules,
    remove_rule,
    set_rules,
)
from gateway.catalogue.selling import find_service
from gateway.cli.session import (
    acting_flags,
    number,
    printing_flags,
    rate,
    run_with_database,
    show,
    warrant_of,
)
from gateway.errors import UserError
from gateway.resellers import accounts
from gateway.store import prices as store
from gateway.store import providers, resellers, services
from gateway.store.connection import Connection, Pool
from schemas.catalogue import PriceRule
from schemas.money import RATE_STEP, Micros, format_amount

_PERCENT = re.compile(r"(\d{1,5}(?:\.\d{1,4})?)%?", re.ASCII)


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags, acting = printing_flags(), acting_flags()
    group = commands.add_parser("price", help="the rules that make prices from costs")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="all rules, the most specific first")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    for verb, words, parents, work in (
        ("set", "make or change the rule for exactly this scope", [flags, acting], _set),
        ("preview", "what `price set` would change", [flags], _preview),
    ):
        rule = verbs.add_parser(verb, parents=parents, help=words)
        rule.add_argument("--markup", required=True, help="percent on the cost, like 30%%")
        rule.add_argument("--provider")
        rule.add_argument("--category")
        rule.add_argument("--service", type=number)
        rule.add_argument("--reseller")
        rule.add_argument("--round", help="rates are rounded up to a multiple of it, like 0.01")
        rule.set_defaults(run=lambda a, work=work: run_with_database(a, lambda s, p: work(a, p)))
    removed = verbs.add_parser("remove", parents=[flags, acting], help="give up a rule")
    removed.add_argument("id", type=number)
    removed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _remove(a, p)))
    marked = verbs.add_parser(
        "markup",
        parents=[flags, acting],
        help="a rule for each of many services: shown first, and made with --apply",
    )
    marked.add_argument("--percent", required=True, help="on the cost, like 30%%")
    marked.add_argument("--category")
    marked.add_argument("--provider", help="only services that it delivers")
    marked.add_argument("--type", help="only this service type")
    marked.add_argument("--search", help="only those with this in their name")
    marked.add_argument("--round", help="rates are rounded up to a multiple of it, like 0.01")
    marked.add_argument("--apply", action="store_true", help="do it")
    marked.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _mark_up(a, p)))


def percent(text: str, flag: str = "--markup") -> Decimal:
    """A markup as it is written on the command line.

    Raises:
        UserError: when it is no percentage.
    """
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise UserError(f"{flag} {text}: write a percentage like 25%")
    return Decimal(match[1])


@dataclass(frozen=True, slots=True)
class _Names:
    """What the numbers in rules stand for."""

    providers: Mapping[int, str]
    resellers: Mapping[int, str]


async def _names(conn: Connection) -> _Names:
    return _Names(
        {p.id: p.name for p in await providers.list_providers(conn)},
        {r.id: r.name for r in await resellers.list_resellers(conn)},
    )


def _rule(rule: PriceRule, names: _Names) -> dict[str, object]:
    return {
        "id": rule.id,
        "markup": f"{rule.markup.normalize():f}%",
        "reseller": names.resellers.get(rule.reseller_id) if rule.reseller_id else None,
        "service": rule.service_id,
        "category": rule.category,
        "provider": names.providers.get(rule.provider_id) if rule.provider_id else None,
        "round": format_amount(rule.step or RATE_STEP),
    }


def _weight(rule: PriceRule) -> tuple[bool, ...]:
    return tuple(part is None for part in rule.scope)


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        names = await _names(conn)
        rules = sorted(await store.list_price_rules(conn), key=_weight)
    show(arguments, [_rule(rule, names) for rule in rules])
    return 0


def _step(text: str | None) -> Micros | None:
    return None if text is None else rate(text, "--round")


async def _spelt(conn: Connection, category: str | None) -> str | None:
    """The category as services have it: a rule is found by exactly that text.

    Raises:
        UserError: when no service is in it, or in several that differ by case alone.
    """
    if category is None:
        return None
    known = {service.category for service in await services.list_services(conn)}
    meant = [c for c in known if c.casefold() == category.strip().casefold()]
    if category in known:
        return category
    if len(meant) == 1:
        return meant[0]
    listed = ", ".join(sorted(meant or known)) or "none yet"
    raise UserError(f"--category {category}: no service is in it; there are: {listed}")


async def _wanted(conn: Connection, arguments: argparse.Namespace) -> PriceRule:
    provider = reseller = None
    if arguments.provider is not None:
        provider = (await upstreams.find_provider(conn, arguments.provider)).id
    if arguments.reseller is not None:
        reseller = (await accounts.find_reseller(conn, arguments.reseller)).id
    if arguments.service is not None:
        await find_service(conn, arguments.service)
    return PriceRule(
        id=0,
        markup=percent(arguments.markup),
        step=_step(arguments.round),
        provider_id=provider,
        category=await _spelt(conn, arguments.category),
        service_id=arguments.service,
        reseller_id=reseller,
    )


async def _set(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        rule = await _wanted(conn, arguments)
    [made] = await set_rules(pool, [rule], warrant_of(arguments))
    async with pool.acquire() as conn:
        show(arguments, _rule(made, await _names(conn)))
    return 0


async def _remove(arguments: argparse.Namespace, pool: Pool) -> int:
    gone = await remove_rule(pool, arguments.id, warrant_of(arguments))
    async with pool.acquire() as conn:
        show(arguments, _rule(gone, await _names(conn)))
    return 0


async def _preview(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        rule = await _wanted(conn, arguments)
        changes = await preview_rules(conn, [rule])
    show(arguments, [_difference(change) for change in changes])
    return 0


async def _mark_up(arguments: argparse.Namespace, pool: Pool) -> int:
    chosen = Chosen(arguments.category, arguments.provider, arguments.type, arguments.search)
    markup = percent(arguments.percent, "--percent")
    async with pool.acquire() as conn:
        rules = await markup_rules(conn, chosen, markup, step=_step(arguments.round))
        changes = await preview_rules(conn, rules)
    if arguments.apply:
        await set_rules(pool, rules, warrant_of(arguments))
    rows = [_difference(change) for change in changes]
    value = {"services": len(rules), "changed": rows, "applied": arguments.apply}
    if arguments.json:
        show(arguments, value)
        return 0
    show(arguments, rows)
    done = "now have" if arguments.apply else "would have; add --apply to do it:"
    print(f"{len(rules)} services {done} a rule of {markup} %; {len(rows)} prices change")
    return 0


def _difference(change: PriceChange) -> dict[str, object]:
    return {
        "service": change.service.id,
        "name": change.service.name,
        "now": _sold_at(change.now),
        "then": _sold_at(change.then),
    }


def _sold_at(rate: Micros | None) -> str:
    return "not for sale" if rate is None else format_amount(rate)
