"""Makes the things that a test needs in its database, through the same code as the product."""

import base64
import json
from dataclasses import dataclass, replace
from typing import Any

from gateway.catalogue.importing import import_services
from gateway.catalogue.upstream_secrets import HEADERS, keep_secrets, opened
from gateway.catalogue.upstreams import adapt, find_provider
from gateway.money.audit import audit
from gateway.peppers import Peppers
from gateway.resellers import accounts
from gateway.resellers.adjusting import move_money
from gateway.sealing import MasterKeys
from gateway.store import providers, services
from gateway.store.connection import Pool, transaction
from providers.transport import Transport
from schemas.catalogue import NewService
from schemas.config import SettingsModel
from schemas.money import Micros, parse_amount, parse_rate
from schemas.money_moves import MoneyCause, MoneyMove
from schemas.operators import Actor, Role, Warrant
from schemas.providers import ProviderRecord, ProviderTerms
from tests.sandbox_process import SandboxProcess

PEPPER = "a pepper for tests only, at least 32 characters"
MASTER_KEYS = base64.b64encode(b"a master key for tests: 32 bytes").decode()
PEPPERS = Peppers(PEPPER.encode())
KEYS = MasterKeys.read(MASTER_KEYS)
#: Settings that every gateway needs.
SECURITY = {"pepper": PEPPER, "master_keys": MASTER_KEYS}
#: On whose word tests do what operators do.
BY_TEST = Warrant(Actor("tests", Role.OWNER), "for a test")


@dataclass(frozen=True, slots=True)
class Customer:
    """A reseller with a key, as a client knows it."""

    id: int
    name: str
    key: str


class World:
    """One test's database, filled by need."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def reseller(self, name: str = "acme", *, funds: str = "100") -> Customer:
        """A reseller with funds and a key."""
        async with self.pool.acquire() as conn:
            made = await accounts.create_reseller(
                conn, name, f"{name}@example.com", "USD", "USD", BY_TEST
            )
            if parse_amount(funds):
                await self.credit(name, parse_amount(funds))
            _, key = await accounts.issue_key(conn, name, PEPPERS, BY_TEST)
        return Customer(made.id, name, key)

    async def credit(self, name: str, amount: Micros, warrant: Warrant = BY_TEST) -> None:
        """Money that came in for a reseller."""
        move = MoneyMove(name, MoneyCause.TOPUP, amount)
        await move_money(self.pool, move, warrant, confirm_above=None)

    async def provider(
        self,
        url: str,
        key: str = "upstream-key",
        name: str = "upstream",
        currency: str = "USD",
        **options: object,
    ) -> ProviderRecord:
        """A provider account with a generous budget."""
        budget = {"adds_per_minute": 600_000, "reads_per_minute": 600_000, "in_flight": 20}
        terms = ProviderTerms(name, "panel_v2", url, key, budget | options)
        plain = {name: value for name, value in terms.options.items() if name != HEADERS}
        async with self.pool.acquire() as conn, transaction(conn):
            made = await providers.insert_provider(
                conn, name, terms.kind, url, currency, json.dumps(plain)
            )
            await keep_secrets(conn, made, terms, KEYS)
            return await find_provider(conn, name)

    async def set_key(self, provider: ProviderRecord, key: str) -> None:
        """Let us be known by another key at a provider."""
        terms = replace(opened(provider, KEYS), key=key)
        async with self.pool.acquire() as conn:
            await keep_secrets(conn, provider.id, terms, KEYS)

    async def service(
        self,
        provider: ProviderRecord,
        *,
        type: str = "Default",
        rate: str = "0.90",
        minimum: int = 50,
        maximum: int = 10_000,
        upstream_service: str = "1",
        enabled: bool = True,
        refill: bool = False,
        cancel: bool = False,
    ) -> int:
        """A service for sale; its id."""
        new = NewService(
            upstream_service=upstream_service,
            name=f"{type} {upstream_service}",
            type=type,
            category="Tests",
            rate=parse_rate(rate),
            minimum=minimum,
            maximum=maximum,
            dripfeed=False,
            refill=refill,
            cancel=cancel,
            enabled=enabled,
            disabled_reason=None if enabled else "off for a test",
            cost=parse_rate(rate) // 2,
        )
        async with self.pool.acquire() as conn, transaction(conn):
            [service_id] = await services.insert_services(conn, provider.id, [new])
        return service_id

    async def sandbox(self, panel: SandboxProcess, **options: Any) -> ProviderRecord:
        """The sandbox panel as a provider, with everything it offers imported at 25 % markup."""
        record = await self.provider(panel.url, panel.key, "sandbox", **options)
        async with Transport() as transport:
            catalogue = await adapt(record, transport, KEYS)[0].services()
        await import_services(self.pool, record, catalogue, SettingsModel(), BY_TEST)
        return record

    async def balance(self, customer: Customer) -> Micros:
        """The stored balance."""
        async with self.pool.acquire() as conn:
            return (await accounts.find_reseller(conn, customer.name)).balance

    async def assert_sound(self) -> None:
        """Every invariant of the audit holds."""
        found = await audit(self.pool)
        assert found.ok, "\n".join(f"{f.check}: {f.row}" for f in found.broken)
