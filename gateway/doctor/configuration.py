"""What the settings alone tell: listeners, secrets and exchange rates. Pure."""

from collections.abc import Iterable

from pydantic import BaseModel, SecretStr

from gateway.doctor.line import Line, fail, ok, warn
from gateway.loopback import is_loopback
from gateway.sealing import BadMasterKeys, MasterKeys
from schemas.config import (
    HttpSettings,
    InternalSettings,
    OpsSettings,
    SecuritySettings,
    SettingsModel,
)

#: Random texts of 32 characters have more different ones than this.
_FEW_CHARACTERS = 12


def of_listeners(http: HttpSettings, internal: InternalSettings) -> Iterable[Line]:
    """Who can reach the listeners, and whose word on a client's address is taken."""
    everybody = [str(net) for net in http.trusted_proxies if net.prefixlen == 0]
    if everybody:
        yield fail(
            "proxy",
            f"http.trusted_proxies has {everybody[0]}: anybody may claim any address",
            "name the networks of your proxies alone, like 10.0.0.5/32",
        )
    elif http.trusted_proxies:
        nets = ", ".join(map(str, http.trusted_proxies))
        yield ok("proxy", f"the API is on {http.host}, proxies in {nets} are believed")
    elif is_loopback(http.host):
        yield warn(
            "proxy",
            f"the API is on {http.host}, and no proxy is believed: behind one, all clients would "
            "have its address, for limits and for keys that are bound to networks",
            "set http.trusted_proxies to the proxy's address, like [127.0.0.1/32]",
        )
    else:
        yield fail(
            "proxy",
            f"the API is on {http.host} without TLS: keys of resellers travel in clear",
            "put a proxy with TLS before it, and set http.trusted_proxies; or set "
            "http.host to 127.0.0.1",
        )
    if is_loopback(internal.host):
        yield ok("internal listener", f"on {internal.host}")
    else:
        yield warn(
            "internal listener",
            f"on {internal.host}: who reaches it reads the metrics",
            "keep it within a network of your own, or set internal.host to 127.0.0.1",
        )


def of_console(ops: OpsSettings) -> Iterable[Line]:
    """Who can reach the console for operators, where it is on."""
    if ops.port is None:
        return
    if ops.development:
        yield warn(
            "console",
            "it is in development: plain http, and no second factor",
            "set ops.development to false, and ops.url to its address behind TLS",
        )
    elif not ops.trusted_proxies and not is_loopback(ops.host):
        yield fail(
            "console",
            f"it is on {ops.host}, and no proxy with TLS is before it",
            "set ops.trusted_proxies to the address of the proxy that ops.url leads to",
        )
    elif not ops.trusted_proxies:
        yield warn(
            "console",
            f"it is behind {ops.url}, and no proxy is believed: all operators have its address, "
            "and one who guesses passwords keeps the others from signing in",
            "set ops.trusted_proxies to the proxy's address, like [127.0.0.1/32]",
        )
    else:
        yield ok("console", f"behind {ops.url}")


def of_secrets(security: SecuritySettings, *, made_here: bool) -> Iterable[Line]:
    """The secrets outside the database. ``made_here`` says that they were generated beside it."""
    pepper = security.pepper
    if pepper is None:
        yield fail(
            "pepper",
            "there is none, and `serve` will not start",
            "set SMM_SECURITY__PEPPER to a random secret of 32 characters or more",
        )
    elif len(set(pepper.get_secret_value())) < _FEW_CHARACTERS:
        yield fail(
            "pepper",
            "it is not random: it has few different characters",
            "before there are API keys, set SMM_SECURITY__PEPPER to a random secret",
        )
    elif made_here:
        yield warn(
            "pepper",
            "it lies in the data directory, as a demo makes it: who gets the data gets it too",
            "set SMM_SECURITY__PEPPER to it, and keep the file elsewhere",
        )
    else:
        yield ok("pepper", "set")
    yield _of_master_keys(security.master_keys)


def _of_master_keys(text: SecretStr | None) -> Line:
    cure = "set SMM_SECURITY__MASTER_KEYS to what `smm-gateway secret new-key` prints"
    if text is None:
        return fail("master keys", "there is none, and `serve` will not start", cure)
    try:
        keys = MasterKeys.read(text.get_secret_value())
    except BadMasterKeys as error:
        return fail("master keys", str(error), cure)
    return ok("master keys", f"the current one is {keys.ids[0]}, of {len(keys.ids)}")


def of_rates(settings: SettingsModel, currencies: Iterable[tuple[str, str]]) -> Iterable[Line]:
    """Whether each provider's currency (pairs of name and currency) has an exchange rate."""
    accounts = list(currencies)
    lacking = [(name, code) for name, code in accounts if settings.exchange_rate(code) is None]
    for name, code in lacking:
        yield fail(
            "exchange rates",
            f"{name} keeps its account in {code}, which has none",
            f"set exchange_rates.{code} to what one {code} is worth in {settings.currency}",
        )
    if not lacking:
        found = ", ".join(sorted({code for _, code in accounts})) or settings.currency
        yield ok("exchange rates", f"there is one for each currency in use ({found})")


def secrets_in(settings: BaseModel) -> Iterable[str]:
    """All secrets in the settings, in clear."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from secrets_in(value)
