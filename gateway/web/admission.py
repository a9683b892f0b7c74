"""Who may call: finds a call's key and what it opens, and says no to all others.

Wrong keys are counted by address. Where there were too many, only a key that may well be good is
still looked up: one that has opened something here before, or whose checksum is right. Guesses then
cost the database nothing, and nobody is locked out by a neighbour who guesses.
"""

from collections.abc import Sequence

import structlog
from aiohttp import web

from gateway.metrics import RATE_LIMITED
from gateway.resellers.keys import KeyRing
from gateway.web.addresses import Address, client_address, neighbourhood, read_address, within
from gateway.web.fields import KEY_NAMES, Fields, every, one, parse_urlencoded
from gateway.web.limits import TooManyRequests, WrongKeys
from schemas import panel_v2 as wire
from schemas.panel_v2 import PanelError
from schemas.resellers import Access, Network

log = structlog.get_logger()


class PlainHttp(PanelError):
    """A call came without TLS, as a trusted proxy says: whoever listened has its key."""

    def __init__(self) -> None:
        super().__init__(wire.PLAIN_HTTP)


class Admission:
    """Opens calls with their keys."""

    def __init__(
        self, keys: KeyRing, wrong_keys: WrongKeys, trusted_proxies: Sequence[Network]
    ) -> None:
        self._keys = keys
        self._wrong_keys = wrong_keys
        self._trusted = trusted_proxies

    async def admit(self, request: web.Request, key: str) -> Access:
        """What a call's key opens.

        Raises:
            PlainHttp: for a call that came without TLS, whatever its key.
            PanelError: ``Invalid API key``, or ``IP not allowed`` for an address that is not on
                the key's list.
            TooManyRequests: for a wrong key from where there were too many.
        """
        if not key:
            raise PanelError(wire.INVALID_KEY)
        plain = self._is_plain(request)
        try:
            access = self._keys.known(key) or await self._look_up(request, key)
        except PanelError:
            if plain:
                raise PlainHttp from None
            raise
        if plain:
            log.error("security.exposed_key", key_id=access.key_id, hint="exchange this key")
            raise PlainHttp
        if access.networks and not within(address := self._address(request), access.networks):
            self._count(address)
            log.warning("security.ip_not_allowed", address=str(address), key_id=access.key_id)
            raise PanelError(wire.IP_NOT_ALLOWED)
        if request.body_exists and request.rel_url.raw_query_string:
            self._compare(request, key, access)
        return access

    async def _look_up(self, request: web.Request, key: str) -> Access:
        address = self._address(request)
        too_many = self._wrong_keys.too_many(neighbourhood(address))
        if not too_many or self._keys.may_open(key):
            access = await self._keys.open(key)
            if access is not None:
                return access
        self._count(address)
        raise PanelError(wire.INVALID_KEY)

    def _count(self, address: Address | None) -> None:
        try:
            self._wrong_keys.add(neighbourhood(address))
        except TooManyRequests:
            RATE_LIMITED.labels("address").inc()
            raise

    def _address(self, request: web.Request) -> Address | None:
        forwarded = request.headers.getall("X-Forwarded-For", ()) if self._trusted else ()
        return client_address(request.remote, forwarded, self._trusted)

    def _is_plain(self, request: web.Request) -> bool:
        """Whether a trusted proxy says that it was called without TLS."""
        if not self._trusted or not within(read_address(request.remote or ""), self._trusted):
            return False
        said = ",".join(request.headers.getall("X-Forwarded-Proto", []))
        return said.rpartition(",")[2].strip().lower() == "http"

    def _compare(self, request: web.Request, key: str, access: Access) -> None:
        """Tell the operator of a second key in the query: somebody may be planting calls."""
        query = parse_urlencoded(
            request.rel_url.raw_query_string.encode("utf-8", "surrogateescape")
        )
        given = {text.strip() for name in KEY_NAMES for text in every(query, name)}
        if given - {"", key}:
            address = self._address(request)
            log.warning("security.two_keys", address=str(address), key_id=access.key_id)


def key_of(request: web.Request, fields: Fields) -> str:
    """The key of a call, from wherever clients put it; empty when there is none.

    Raises:
        PanelError: ``Incorrect request`` when it is given with different values.
    """
    found = ((one(fields, name) or "").strip() for name in KEY_NAMES)
    key = next((text for text in found if text), None)
    return key or (request.headers.get("X-API-Key") or _bearer(request)).strip()


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""
