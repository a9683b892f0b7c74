"""Settings: every one with its meaning and default. An unknown name is an error."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, model_validator


class LogFormat(StrEnum):
    """How log lines look; ``auto`` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """PostgreSQL. Without a ``url`` the embedded engines of ``data_dir`` are used."""

    url: SecretStr | None = None
    pool_size: int = Field(default=10, ge=3, le=200)


class RedisSettings(_Section):
    """Redis or Valkey, for wake-ups between processes. Its loss costs a second, nothing else."""

    url: SecretStr | None = None


class HttpSettings(_Section):
    """The public listener: the API.

    ``trusted_proxies`` are the networks whose X-Forwarded-For is believed.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8800, ge=0, le=65535)
    trusted_proxies: list[IPvAnyNetwork] = []


class InternalSettings(_Section):
    """The internal listener: ``/metrics``, ``/healthz``, ``/readyz``. Port 0 is a free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


class SecuritySettings(_Section):
    """``pepper`` keys the hashes of API keys: 32 characters or more, kept outside the database."""

    pepper: SecretStr | None = Field(default=None, min_length=32)


class LimitSettings(_Section):
    """How much this process answers: calls of each key, and wrong keys from each address."""

    requests_per_second: int = Field(default=100, ge=1, le=1_000_000)
    burst: int = Field(default=1_000, ge=1, le=10_000_000)
    wrong_keys_per_minute: int = Field(default=100, ge=1, le=1_000_000)


class IntakeSettings(_Section):
    """``group_size`` is the largest number of orders in one intake transaction."""

    group_size: int = Field(default=250, ge=1, le=5000)


class DispatchSettings(_Section):
    """Sending orders upstream. Times in milliseconds.

    An impatient ``timeout_ms`` buys ambiguity: an order whose answer is lost stays frozen until
    it is reconciled. A route that refuses for the moment is asked ``same_route_tries`` times
    before the next one is. Orders leave a provider that has not answered for ``reroute_ms``.
    """

    timeout_ms: int = Field(default=60_000, ge=100)
    connect_timeout_ms: int = Field(default=10_000, ge=50)
    idle_ms: int = Field(default=1_000, ge=10)
    retry_first_ms: int = Field(default=15_000, ge=10)
    retry_last_ms: int = Field(default=900_000, ge=10)
    hold_ms: int = Field(default=60_000, ge=10)
    same_route_tries: int = Field(default=5, ge=1)
    reroute_ms: int = Field(default=30_000, ge=0)

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


class RefillSettings(_Section):
    """``wait_ms`` after its end, and after each request, an order may be refilled; 0 is at once."""

    wait_ms: int = Field(default=86_400_000, ge=0)


class LogSettings(_Section):
    """``level`` is one of debug, info, warning, error."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    format: LogFormat = LogFormat.AUTO


class SettingsModel(BaseModel):
    """All settings of the gateway. ``currency`` is the one house currency, an ISO code."""

    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    data_dir: Path | None = None
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    http: HttpSettings = HttpSettings()
    internal: InternalSettings = InternalSettings()
    security: SecuritySettings = SecuritySettings()
    limits: LimitSettings = LimitSettings()
    intake: IntakeSettings = IntakeSettings()
    dispatch: DispatchSettings = DispatchSettings()
    tracking: TrackingSettings = TrackingSettings()
    refills: RefillSettings = RefillSettings()
    log: LogSettings = LogSettings()


class Budget(_Section):
    """What each gateway process spends at one provider account.

    Calls a minute, and orders sent at the same time. The defaults suit panels that publish no
    limits. Below ``low_balance``, in the account's currency, there is an alert.
    """

    adds_per_minute: int = Field(default=60, ge=1, le=600_000)
    reads_per_minute: int = Field(default=60, ge=1, le=600_000)
    in_flight: int = Field(default=1, ge=1, le=1_000)
    low_balance: Decimal | None = Field(default=None, ge=0)
