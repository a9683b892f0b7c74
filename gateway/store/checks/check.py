"""What a check is, and which orders it is run for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_PLACE = re.compile(r"<<([\w.]+)>>")


@dataclass(frozen=True, slots=True)
class Scope:
    """The orders that a check looks at. ``condition`` has ``{}`` where the order's id stands."""

    condition: str
    arguments: tuple[object, ...] = ()

    @classmethod
    def these(cls, order_ids: Sequence[int]) -> "Scope":
        """Exactly these orders."""
        return cls("({} = any($1::int[]))", (order_ids,))

    @classmethod
    def between(cls, lower: int, upper: int) -> "Scope":
        """The orders from the id ``lower`` up to, and without, ``upper``."""
        return cls("({0} >= $1::int and {0} < $2::bigint)", (lower, upper))


EVERYTHING = Scope("true")

#: The condition that the range of the order id ``{0}`` was not detached.
KEPT = "not exists (select from detached_range d where {0} >= d.lower and {0} < d.upper)"

#: What entries leave behind of themselves, whatever their order; each in 64 bits of an MD5.
DIGEST = (
    "coalesce(sum(('x' || left(md5(concat_ws(' ', order_id, cause, step, amount)), 16))"
    "::bit(64)::bigint::numeric), 0)"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: ``sql`` returns one text per broken row, and none of a sound database.

    ``<<o.id>>`` in it stands for the condition that the order ``o.id`` is looked at. A check
    without that concerns the whole database.
    """

    name: str
    meaning: str
    sql: str

    @property
    def by_order(self) -> bool:
        """Whether it can be run for some orders alone."""
        return _PLACE.search(self.sql) is not None

    def sql_for(self, scope: Scope) -> str:
        """The query for these orders; its arguments are the scope's."""
        return _PLACE.sub(lambda found: scope.condition.format(found[1]), self.sql)
