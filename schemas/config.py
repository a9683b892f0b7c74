"""Settings: every one with its meaning and default. An unknown name is an error."""

import re
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Self
from zoneinfo import available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    field_validator,
    model_validator,
)

from schemas.alert_settings import AlertSettings

_CURRENCY = re.compile(r"[A-Z]{3,5}", re.ASCII)
_EXCHANGE_RATE = re.compile(r"\d{1,12}(?:\.\d{1,18})?", re.ASCII)


class Role(StrEnum):
    """What a process does."""

    ALL = "all"
    WEB = "web"  # answers resellers
    WORKER = "worker"  # asks upstreams, and does what is due


class LogFormat(StrEnum):
    """How log lines look; ``auto`` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """PostgreSQL. Without a ``url`` the embedded engines of ``data_dir`` are used.

    ``migration_url`` is the owner's, where ``url`` is that of a role with fewer rights. With
    ``pgbouncer``, ``url`` leads through a PgBouncer that pools transactions.
    """

    url: SecretStr | None = None
    migration_url: SecretStr | None = None
    pgbouncer: bool = False
    pool_size: int = Field(default=10, ge=3, le=200)

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.url is None and (self.migration_url is not None or self.pgbouncer):
            raise ValueError("migration_url and pgbouncer need a url: the embedded engine has none")
        return self


class RedisSettings(_Section):
    """Redis or Valkey, for limits over all processes and wake-ups between them.

    It may be lost: each process then answers half of each limit, and orders leave a second later.
    """

    url: SecretStr | None = None


class HttpSettings(_Section):
    """The public listener: the API.

    ``trusted_proxies`` are the networks whose X-Forwarded-For is believed. A process that stops
    waits up to ``drain_ms`` for open connections to be told that they close.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8800, ge=0, le=65535)
    trusted_proxies: list[IPvAnyNetwork] = []
    drain_ms: int = Field(default=5_000, ge=0)


class InternalSettings(_Section):
    """The internal listener: ``/metrics``, ``/healthz``, ``/readyz``. Port 0 is a free one.

    With ``serve --workers`` it is the supervisor's; each worker takes a free port, told on
    ``/workers``.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


class OpsSettings(_Section):
    """The console for operators: a listener of its own, off without a ``port``; 0 is a free one.

    ``url`` is where browsers reach it, like https://ops.example.com; links to it begin with that,
    so a console needs one. Its proxies are trusted apart from those of the API. ``development`` is
    for this machine alone: cookies over plain http, no second factor needed, and no ``url``.
    """

    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)
    url: str | None = Field(default=None, pattern=r"^https://[^/\s?#]+$")
    trusted_proxies: list[IPvAnyNetwork] = []
    development: bool = False

    @model_validator(mode="after")
    def _develops_at_home(self) -> Self:
        if self.development and (self.url is not None or self.trusted_proxies):
            raise ValueError("development is for a console that only this machine reaches")
        if self.development and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("development needs a host on loopback, like 127.0.0.1")
        if self.port is not None and self.url is None and not self.development:
            raise ValueError("a console needs its url, like https://ops.example.com")
        return self


class SecuritySettings(_Section):
    """Secrets that are kept outside the database.

    ``pepper`` keys the hashes of API keys: 32 characters or more. While it is exchanged, keys that
    are known by ``old_pepper`` alone open too, and are known by the new one then.
    ``master_keys`` seal the secrets that the database holds: each 32 random bytes in base64, the
    current one first, with spaces or line breaks between them.
    """

    pepper: SecretStr | None = Field(default=None, min_length=32)
    old_pepper: SecretStr | None = Field(default=None, min_length=32)
    master_keys: SecretStr | None = None


class LimitSettings(_Section):
    """How much all processes answer: calls of each key, and wrong keys from each address."""

    requests_per_second: int = Field(default=100, ge=1, le=1_000_000)
    burst: int = Field(default=1_000, ge=1, le=10_000_000)
    wrong_keys_per_minute: int = Field(default=100, ge=1, le=1_000_000)


class IntakeSettings(_Section):
    """``group_size`` is the largest number of orders in one intake transaction.

    Clients are held for ``hold_ms`` while it is not known whether their orders were committed: a
    failover takes about 20 seconds. An order that would wait longer than ``longest_wait_ms`` for
    its turn is not taken: HTTP 503.
    """

    group_size: int = Field(default=250, ge=1, le=5000)
    hold_ms: int = Field(default=25_000, ge=100, le=300_000)
    longest_wait_ms: int = Field(default=5_000, ge=10)


class DispatchSettings(_Section):
    """Sending orders upstream. Times in milliseconds.

    An impatient ``timeout_ms`` buys ambiguity: an order whose answer is lost stays frozen until
    it is reconciled. A route that refuses for the moment is asked ``same_route_tries`` times
    before the next one is. Orders leave a provider that has not answered for ``reroute_ms``. One
    that the catalogue has not let go to any route for ``undeliverable_ms`` is paid back.
    """

    timeout_ms: int = Field(default=60_000, ge=100)
    connect_timeout_ms: int = Field(default=10_000, ge=50)
    idle_ms: int = Field(default=1_000, ge=10)
    retry_first_ms: int = Field(default=15_000, ge=10)
    retry_last_ms: int = Field(default=900_000, ge=10)
    hold_ms: int = Field(default=60_000, ge=10)
    same_route_tries: int = Field(default=5, ge=1)
    reroute_ms: int = Field(default=30_000, ge=0)
    undeliverable_ms: int = Field(default=86_400_000, ge=0)

    @model_validator(mode="after")
    def _connects_within_its_time(self) -> Self:
        if self.connect_timeout_ms >= self.timeout_ms:
            raise ValueError("connect_timeout_ms must be below timeout_ms")
        return self


class TrackingSettings(_Section):
    """Asking upstreams how orders stand. Times in milliseconds.

    A new order is asked for every ``first_ms``, later at a tenth of its age, at least every
    ``last_ms``; a finished one every ``correction_ms`` for ``watch_ms``. Accounts are asked for
    their balance every ``balance_ms``.
    """

    first_ms: int = Field(default=30_000, ge=10)
    last_ms: int = Field(default=900_000, ge=10)
    idle_ms: int = Field(default=1_000, ge=10)
    correction_ms: int = Field(default=86_400_000, ge=10)
    watch_ms: int = Field(default=604_800_000, ge=0)
    balance_ms: int = Field(default=300_000, ge=10)


class ReconcileSettings(_Section):
    """Finding out what became of orders whose answer was lost. Times in milliseconds.

    They are looked at every ``interval_ms``. That an upstream does not have one is believed after
    ``quarantine_ms``, or twice the time in which an answer may come where that is longer: panels
    queue internally. What is not decided within ``deadline_ms`` goes to a person.
    """

    interval_ms: int = Field(default=30_000, ge=10)
    quarantine_ms: int = Field(default=900_000, ge=10)
    deadline_ms: int = Field(default=1_800_000, ge=10)

    @model_validator(mode="after")
    def _proof_comes_before_the_deadline(self) -> Self:
        if self.deadline_ms <= self.quarantine_ms:
            raise ValueError("deadline_ms must be above quarantine_ms")
        return self


class RefillSettings(_Section):
    """``wait_ms`` after its end, and after each request, an order may be refilled; 0 is at once."""

    wait_ms: int = Field(default=86_400_000, ge=0)


class PriceChanges(StrEnum):
    """What a sync does when an upstream changes a price."""

    FOLLOW = "follow"  # our price follows with its markup, unless the change is too large
    HOLD = "hold"  # our price stays until an operator approves


class SyncPolicy(_Section):
    """How a catalogue is followed; an account's own options of these names win.

    A change of more than ``hold_percent``, or to more than three times or less than a third,
    waits for an operator. One that our price does not cover stops the sale until then.
    """

    price_changes: PriceChanges = PriceChanges.FOLLOW
    hold_percent: int = Field(default=50, ge=0, le=1_000_000)


class CatalogueSettings(SyncPolicy):
    """Following upstream catalogues: each is read every ``sync_ms``, give or take a tenth."""

    sync_ms: int = Field(default=21_600_000, ge=100)


class BackupSettings(_Section):
    """``archive_dir`` keeps all that the embedded PostgreSQL writes, for ``restore --until``.

    A newest backup older than ``too_old_ms`` is trouble; 0 is for whoever backs up otherwise.
    """

    archive_dir: Path | None = None
    too_old_ms: int = Field(default=93_600_000, ge=0)


class AuditSettings(_Section):
    """The audit in the background: every ``every_ms``, by one of all processes."""

    every_ms: int = Field(default=300_000, ge=100)


class OperatorSettings(_Section):
    """Amounts above ``confirm_above``, in the house currency, need a second operator's word.

    ``time_zone`` is where the days of reports begin, by its name, like Europe/Berlin.
    """

    confirm_above: Decimal | None = Field(default=None, ge=0)
    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"{name!r} is not a time zone, like Europe/Berlin")
        return name


class LogSettings(_Section):
    """``level`` is one of debug, info, warning, error."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    format: LogFormat = LogFormat.AUTO


class SettingsModel(BaseModel):
    """All settings of the gateway. ``currency`` is the one house currency, an ISO code.

    ``exchange_rates`` are what one unit of another currency is worth in it, as text.
    """

    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    exchange_rates: dict[str, str] = {}
    data_dir: Path | None = None
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    http: HttpSettings = HttpSettings()
    internal: InternalSettings = InternalSettings()
    ops: OpsSettings = OpsSettings()
    security: SecuritySettings = SecuritySettings()
    limits: LimitSettings = LimitSettings()
    intake: IntakeSettings = IntakeSettings()
    dispatch: DispatchSettings = DispatchSettings()
    tracking: TrackingSettings = TrackingSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    refills: RefillSettings = RefillSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    backup: BackupSettings = BackupSettings()
    audit: AuditSettings = AuditSettings()
    alerts: AlertSettings = AlertSettings()
    operators: OperatorSettings = OperatorSettings()
    log: LogSettings = LogSettings()

    @field_validator("exchange_rates")
    @classmethod
    def _are_exchange_rates(cls, rates: dict[str, str]) -> dict[str, str]:
        for currency, rate in rates.items():
            if _CURRENCY.fullmatch(currency) is None:
                raise ValueError(f"{currency!r} is not the code of a currency, like EUR")
            if _EXCHANGE_RATE.fullmatch(rate) is None or not Decimal(rate):
                raise ValueError(f'the rate of {currency} must be a text like "1.08", above 0')
        return rates

    def exchange_rate(self, currency: str) -> Decimal | None:
        """What one unit of ``currency`` is worth in the house currency; None when unknown."""
        if currency == self.currency:
            return Decimal(1)
        rate = self.exchange_rates.get(currency)
        return None if rate is None else Decimal(rate)


class Budget(_Section):
    """What is spent at one provider account, by all processes together.

    Calls a minute, and orders sent at the same time. The defaults suit panels that publish no
    limits. Below ``low_balance``, in the account's currency, there is an alert.
    """

    adds_per_minute: int = Field(default=60, ge=1, le=600_000)
    reads_per_minute: int = Field(default=60, ge=1, le=600_000)
    in_flight: int = Field(default=1, ge=1, le=1_000)
    low_balance: Decimal | None = Field(default=None, ge=0)
