"""One account at one upstream: the part of the configuration that an adapter needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class BadAccount(ValueError):
    """The configuration of a provider account cannot work. The message names no secret."""


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """Where an upstream is and how we are known there.

    ``url`` is used exactly as configured: some panels answer a page instead of the API when a
    slash is added or taken away. ``options`` belong to the adapter, which refuses what it does
    not know.
    """

    name: str
    url: str
    key: str = field(repr=False)
    options: Mapping[str, object] = field(default_factory=dict)
