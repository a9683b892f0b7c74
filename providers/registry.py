"""The adapters by kind: our own, and those that other packages register by an entry point."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeAlias

from providers.account import BadAccount, ProviderAccount
from providers.base import Provider
from providers.manual import Manual
from providers.panel_v2 import PanelV2
from providers.transport import Transport

#: Where other packages register theirs: ``kind = "package.module:Adapter"``.
ENTRY_POINT_GROUP = "smm_gateway.providers"

Adapter: TypeAlias = Callable[[ProviderAccount, Transport], Provider]

_BUILT_IN: dict[str, Adapter] = {adapter.kind: adapter for adapter in (PanelV2, Manual)}


class UnknownKind(BadAccount):
    """No adapter of this kind is installed."""


def provider_kinds() -> list[str]:
    """The kinds that an account may have, in alphabetical order."""
    return sorted({*_BUILT_IN, *entry_points(group=ENTRY_POINT_GROUP).names})


def adapter_of(kind: str) -> Adapter:
    """The adapter class of ``kind``. A kind of ours cannot be replaced by another package.

    Raises:
        UnknownKind: when there is none.
    """
    if kind in _BUILT_IN:
        return _BUILT_IN[kind]
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=kind):
        adapter: Adapter = entry.load()
        return adapter
    raise UnknownKind(f"no provider of kind {kind!r}; known are {', '.join(provider_kinds())}")


def is_worked_by_hand(kind: str) -> bool:
    """Whether people deliver: there is no upstream to ask, and an operator reports.

    Raises:
        UnknownKind: when no adapter of this kind is installed.
    """
    return bool(getattr(adapter_of(kind), "by_hand", False))


def create_provider(kind: str, account: ProviderAccount, transport: Transport) -> Provider:
    """The adapter for one account.

    Raises:
        UnknownKind: when no adapter of this kind is installed.
        BadAccount: when the adapter does not take the account's options.
    """
    return adapter_of(kind)(account, transport)
