"""What an account's options make of a request and of an answer. Pure.

A panel that differs from the reference only by names and places needs no code: ``Dialect`` turns
ours into theirs on the way out, and theirs into ours on the way back.
"""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError

from providers.account import BadAccount, ProviderAccount
from providers.calls import Call
from providers.decoding import Json, Unreadable
from providers.limits import Timeouts
from providers.panel_options import KeyPlace, PanelOptions, is_header_value
from providers.reading import ABSENT, UNSOUND, NoOrderId, read_currency, read_order_id
from providers.status_reading import LONGEST_WORD, bare_word
from schemas.money import MAX_AMOUNT, UNIT
from schemas.upstream import (
    RefusedRow,
    UpstreamBalance,
    UpstreamCatalogue,
    UpstreamStatus,
)

MULTI_STATUS = "multi_status"
#: In units of the account's currency.
_LARGEST_RATE = MAX_AMOUNT // UNIT


def read_options(account: ProviderAccount, defaults: Mapping[str, object]) -> PanelOptions:
    """The options of an account over the ``defaults`` of its adapter.

    Where both have a mapping (names, words, headers …), the account's entries are added to it.

    Raises:
        BadAccount: for an option that is not known or not valid; one line, without the key.
    """
    merged = dict(defaults)
    for name, value in account.options.items():
        match merged.get(name), value:
            case Mapping() as inherited, Mapping() as own:
                merged[name] = {**inherited, **own}
            case _:
                merged[name] = value
    try:
        return PanelOptions.model_validate(merged)
    except ValidationError as error:
        wrong = "; ".join(map(_in_words, error.errors()))
        raise BadAccount(f"provider {account.name}: {wrong}") from None


def _in_words(issue: Mapping[str, object]) -> str:
    location = issue["loc"]
    place = ".".join(map(str, location)) if isinstance(location, tuple) else ""
    text = str(issue["msg"]).removeprefix("Value error, ")
    return f"{place}: {text}" if place else text


class Dialect:
    """How one account is spoken to.

    Raises:
        BadAccount: on construction, when the options cannot work.
    """

    def __init__(self, account: ProviderAccount, options: PanelOptions, gateway: Timeouts) -> None:
        self._account = account
        self._options = options
        in_header = options.key_in is not KeyPlace.FIELD
        if in_header and not is_header_value(account.key):
            raise BadAccount(f"provider {account.name}: key: this key cannot go into a header")
        try:
            self._timeouts = options.timeouts.over(gateway)
        except ValueError as reason:
            raise BadAccount(f"provider {account.name}: timeouts: {reason}") from None
        self._words = {bare_word(theirs): ours for theirs, ours in options.status_words.items()}

    def call(self, action: str, fields: Mapping[str, str]) -> Call:
        """The request for ``action``, under the panel's names."""
        options = self._options
        mine = {options.parameter(name): value for name, value in fields.items()}
        mine[options.parameter("action")] = self._action_name(action)
        headers = dict(options.headers)
        match options.key_in:
            case KeyPlace.FIELD:
                mine[options.wire_key_name] = self._account.key
            case KeyPlace.HEADER:
                headers[options.wire_key_name] = self._account.key
            case KeyPlace.BEARER:
                headers[options.wire_key_name] = f"Bearer {self._account.key}"
        return Call(
            self._account.url,
            mine,
            options.method,
            options.wire_encoding,
            headers,
            self._timeouts,
        )

    def _action_name(self, action: str) -> str:
        names = {str(ours): theirs for ours, theirs in self._options.action_names.items()}
        if action == MULTI_STATUS:
            return names.get(MULTI_STATUS) or names.get("status", "status")
        return names.get(action, action)

    def content(self, name: str, payload: Json) -> Json:
        """The part of an answer that holds what ``name`` asked for.

        Raises:
            Unreadable: when there is nothing at the configured path.
        """
        path: str | None = getattr(self._options.response_paths, name)
        return payload if path is None else _at(payload, path)

    def balance_content(self, payload: Json) -> Json:
        """The balance in an answer, in the reference's shape. Raises ``Unreadable``."""
        path = self._options.response_paths.balance
        return payload if path is None else {"balance": _at(payload, path)}

    def balance(self, found: UpstreamBalance, payload: Json) -> UpstreamBalance:
        """A balance in the account's currency as configured, else as told."""
        currency = self._options.currency or self._told_currency(payload) or found.currency
        return replace(found, currency=currency)

    def _told_currency(self, payload: Json) -> str | None:
        path = self._options.response_paths.currency
        if path is None:
            return None
        try:
            return read_currency(_at(payload, path))
        except Unreadable:
            return None

    def order_id(self, generic: str | NoOrderId, payload: Json) -> str | NoOrderId:
        """The id at the configured path, where there is one; ``generic`` is what is found without.

        An id elsewhere than where it should be is no proof that there is no order.
        """
        path = self._options.response_paths.order
        if path is None:
            return generic
        try:
            found = read_order_id(_at(payload, path))
        except Unreadable:
            found = ABSENT
        return UNSOUND if found is ABSENT and isinstance(generic, str) else found

    def status(self, found: UpstreamStatus) -> UpstreamStatus:
        """A status in the words and the currency that the account is configured with."""
        text = found.raw_word or found.error or ""
        word = self._words.get(bare_word(text)) if text else None
        if word:
            found = replace(found, word=word, raw_word=text[:LONGEST_WORD], error=None)
        return replace(found, currency=self._options.currency or found.currency)

    def catalogue(self, found: UpstreamCatalogue) -> UpstreamCatalogue:
        """A catalogue at rates per 1,000 in the account's currency."""
        factor = self._options.rate_multiplier
        if factor is None:
            return found
        rated = [replace(service, rate=service.rate * factor) for service in found.services]
        refused = tuple(
            RefusedRow(service.service, "the rate is too large after rate_multiplier")
            for service in rated
            if service.rate > _LARGEST_RATE
        )
        services = tuple(service for service in rated if service.rate <= _LARGEST_RATE)
        return UpstreamCatalogue(services, found.refused + refused)


def _at(payload: Json, path: str) -> Json:
    """The value at a dotted path; a number is also the place in a list.

    Raises:
        Unreadable: when there is none.
    """
    value = payload
    for name in path.split("."):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise Unreadable(f"an answer without {path}")
    return value
