"""The house rules hold in every file, and each rule is seen to catch what it is for."""

from collections.abc import Iterable

import pytest

from tests.architecture import (
    LONGEST_FUNCTION,
    LONGEST_MODULE,
    PACKAGES,
    ROOT,
    RULES,
    Module,
    Rule,
    kinds_of,
    modules_of,
    names_no_kind,
)

_MODULES = modules_of(ROOT, *PACKAGES)
_KINDS = kinds_of([m for m in _MODULES if m.inside("providers") and m.name.count(".") == 1])


def _broken(rule: Rule, modules: Iterable[Module]) -> list[str]:
    return [f"{module.name}:{words}" for module in modules for words in rule(module)]


def test_the_tree_is_found() -> None:
    names = {module.name for module in _MODULES}
    assert {"schemas.money", "providers.transport", "gateway.store.orders", "gateway.app"} <= names
    assert len(names) > 80


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    assert _broken(rule, _MODULES) == []


def test_kinds_of_providers_are_named_only_at_home_and_in_the_registry() -> None:
    assert _KINDS, "no adapter was found"
    assert _broken(names_no_kind(_KINDS), _MODULES) == []


_PLANTED: list[tuple[str, str, str]] = [
    # imports
    ("imports_point_down", "schemas.money", "import providers.base"),
    ("imports_point_down", "schemas.money", "from gateway import app"),
    ("imports_point_down", "schemas.money", "def f():\n    import gateway.log"),
    ("imports_point_down", "providers.base", "from gateway.store import orders"),
    ("imports_point_down", "providers.base", "from tests.world import World"),
    ("imports_point_down", "gateway.store.orders", "from gateway.orders import intake"),
    ("imports_point_down", "gateway.store.orders", "from gateway import metrics"),
    ("imports_point_down", "gateway.orders.intake", "from gateway.web.panel_api import PanelApi"),
    ("imports_point_down", "gateway.money.ledger", "import gateway.workers.loop"),
    ("imports_point_down", "gateway.catalogue.importing", "from gateway.cli import session"),
    ("imports_point_down", "gateway.breaker", "from gateway.orders import lifecycle"),
    ("imports_point_down", "gateway.web.panel_api", "from gateway.app import Gateway"),
    ("imports_point_down", "gateway.orders.intake", "from gateway import app"),
    ("imports_point_down", "gateway.orders.intake", "from .drafting import Draft"),
    # purity
    ("schemas_are_pure", "schemas.orders", "import asyncio"),
    ("schemas_are_pure", "schemas.orders", "import asyncpg"),
    ("schemas_are_pure", "schemas.orders", "from time import monotonic"),
    ("schemas_are_pure", "schemas.orders", "import random as chance"),
    ("schemas_are_pure", "schemas.orders", "from aiohttp import web"),
    ("schemas_are_pure", "schemas.orders", "from redis.asyncio import Redis"),
    ("schemas_are_pure", "schemas.orders", "import datetime\nx = datetime.datetime.now()"),
    ("schemas_are_pure", "schemas.orders", "def f():\n    open('x')"),
    ("schemas_are_pure", "schemas.orders", "async def f(): ..."),
    # SQL
    ("sql_stays_in_store", "gateway.orders.intake", "async def f(c):\n    await c.execute('x')"),
    ("sql_stays_in_store", "gateway.cli.orders", "async def f(c):\n    await c.fetch('x')"),
    ("sql_stays_in_store", "gateway.cli.orders", "async def f(c):\n    await c.fetchrow(q)"),
    ("sql_stays_in_store", "gateway.app", "async def f(c):\n    await c.fetchval(q)"),
    ("sql_stays_in_store", "gateway.app", "Q = 'select 1 from orders'"),
    ("sql_stays_in_store", "gateway.app", "Q = '''\n   UPDATE balance SET amount = 0'''"),
    ("sql_stays_in_store", "gateway.app", "Q = f'insert into entry values ({x})'"),
    ("sql_stays_in_store", "gateway.app", "Q = 'with a as (select 1) select * from a'"),
    ("sql_stays_in_store", "gateway.embedded.valkey", "Q = 'delete from entry'"),
    ("sql_stays_in_store", "providers.base", "from asyncpg import connect"),
    # HTTP
    ("http_has_its_places", "gateway.orders.dispatch", "import aiohttp"),
    ("http_has_its_places", "providers.panel_v2", "from aiohttp import ClientTimeout"),
    ("http_has_its_places", "providers.panel_v2", "s = http.ClientSession()"),
    ("http_has_its_places", "gateway.web.fields", "from aiohttp import ClientSession"),
    ("http_has_its_places", "providers.sandbox.front", "from aiohttp import ClientSession"),
    ("http_has_its_places", "gateway.orders.intake", "from aiohttp import web"),
    ("http_has_its_places", "providers.registry", "import aiohttp.web"),
    # money
    ("money_has_no_floats", "schemas.money", "X = 0.5"),
    ("money_has_no_floats", "gateway.money.ledger", "x = float(y)"),
    ("money_has_no_floats", "gateway.money.audit", "x = round(y)"),
    ("money_has_no_floats", "gateway.orders.drafting", "x = a / b"),
    # errors
    ("errors_are_named", "gateway.app", "try:\n    f()\nexcept:\n    raise"),
    # store
    ("store_functions_are_statements", "gateway.store.orders", "async def fix_orders(conn): ..."),
    ("store_functions_are_statements", "gateway.store.orders", "async def get_it(pool): ..."),
    (
        "store_functions_are_statements",
        "gateway.store.orders",
        "async def set_x(conn):\n    async with transaction(conn): ...",
    ),
    (
        "store_functions_are_statements",
        "gateway.store.orders",
        "async def set_x(conn):\n    async with conn.transaction(): ...",
    ),
    # size and names
    ("sizes_stay_within_walls", "gateway.app", "x = 1\n" * (LONGEST_MODULE + 1)),
    ("sizes_stay_within_walls", "gateway.app", "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION),
    ("sizes_stay_within_walls", "gateway.orders.helpers", ""),
    ("sizes_stay_within_walls", "gateway.order_utils", ""),
]


@pytest.mark.parametrize(("rule", "name", "text"), _PLANTED)
def test_a_planted_violation_is_caught(rule: str, name: str, text: str) -> None:
    assert len(_broken(RULES[rule], [Module(name, text)])) == 1


_ALLOWED: list[tuple[str, str]] = [
    ("schemas.orders", "from schemas.money import Micros\nfrom datetime import datetime"),
    ("providers.panel_v2", "from schemas.orders import Order\nfrom providers.base import Provider"),
    ("providers.transport", "import aiohttp\ns = aiohttp.ClientSession()"),
    ("gateway.web.panel_api", "from aiohttp import web\nfrom gateway.orders.intake import Intake"),
    ("gateway.cli.demo", "from gateway.app import Gateway\nfrom gateway.store import orders"),
    ("gateway.orders.intake", "from gateway.money.ledger import Book\nimport asyncio"),
    ("gateway.orders.intake", "from gateway.store import orders\nfrom gateway import metrics"),
    ("gateway.store.orders", "from gateway.store.connection import Connection"),
    ("gateway.store.orders", "async def get_x(conn):\n    await conn.fetch('select 1 from x')"),
    ("gateway.store.connection", "async def transaction(conn):\n    await conn.execute('begin')"),
    ("gateway.orders.intake", "def f():\n    'update x set y, as one may write in words.'"),
    ("schemas.money", "def rate(cost):\n    return cost / 100  # of decimals"),
    ("gateway.app", "import asyncpg\nHELP = 'select a service with its id'"),
]


@pytest.mark.parametrize(("name", "text"), _ALLOWED)
def test_what_the_rules_allow_is_left_alone(name: str, text: str) -> None:
    found = [words for rule in RULES.values() for words in _broken(rule, [Module(name, text)])]
    assert found == []


def test_a_kind_named_elsewhere_is_caught() -> None:
    adapter = Module("providers.acme", "class Acme:\n    kind: str = 'acme'\n")
    kinds = kinds_of([adapter])
    assert kinds == {"acme": "providers.acme"}
    rule = names_no_kind(kinds)
    offender = Module("gateway.orders.dispatch", "if kind == 'acme':\n    pass")
    [words] = _broken(rule, [adapter, offender, Module("gateway.cli.demo", "K = 'acme'")])
    assert words.startswith("gateway.orders.dispatch:1:")
