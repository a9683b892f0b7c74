"""Service types as data: which parameters an order of each type has, and what it costs.

Everything that depends on the type reads this table: intake validates by it, pricing counts by
it, dispatch sends by it, an upstream's catalogue is imported by it, and the API docs print it.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from schemas import order_parameters as takes
from schemas.parameters import Parameter


class Pricing(StrEnum):
    """What the service's rate pays for."""

    PER_THOUSAND = "per_thousand"
    PER_ORDER = "per_order"


@dataclass(frozen=True, slots=True)
class ServiceType:
    """One type of service.

    ``counted`` is the parameter whose value (or number of lines) is the quantity; None means that
    an order is one package, whatever quantity a client sends. ``times`` multiply it by their sum.
    ``limited`` must lie within the service's limits, in rising order. ``target`` is kept as the
    order's link. ``about`` is what the API docs say. ``accepted`` is all that an order may carry,
    ``conditional`` what some values of other parameters require.
    """

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    counted: Parameter | None
    limited: tuple[Parameter, ...]
    target: Parameter
    times: tuple[Parameter, ...] = ()
    dripfeed: bool = False
    aliases: tuple[str, ...] = ()
    accepted: tuple[Parameter, ...] = field(init=False)
    conditional: tuple[Parameter, ...] = field(init=False)

    def __post_init__(self) -> None:
        needed = tuple(p for p in self.parameters if p.needed_when)
        object.__setattr__(self, "accepted", self.parameters + takes.ORDER_OPTIONS)
        object.__setattr__(self, "conditional", needed)

    @property
    def pricing(self) -> Pricing:
        """What the rate pays for."""
        return Pricing.PER_ORDER if self.counted is None else Pricing.PER_THOUSAND

    @property
    def example(self) -> dict[str, str]:
        """A sound order with what is needed and no more."""
        shown = {parameter.name: parameter.example for parameter in self.parameters}
        return {
            parameter.name: parameter.example
            for parameter in self.parameters
            if parameter.required
            or parameter.default is not None
            or (
                parameter.needed_when
                and shown[parameter.needed_when[0]] == parameter.needed_when[1]
            )
        }


def _by_quantity(
    name: str,
    about: str,
    *further: Parameter,
    dripfeed: bool = False,
    aliases: tuple[str, ...] = (),
) -> ServiceType:
    parameters = (takes.LINK, takes.QUANTITY, *further)
    return ServiceType(
        name,
        about,
        parameters,
        takes.QUANTITY,
        (takes.QUANTITY,),
        takes.LINK,
        (),
        dripfeed,
        aliases,
    )


def _by_lines(
    name: str,
    about: str,
    lines: Parameter,
    *further: Parameter,
    aliases: tuple[str, ...] = (),
) -> ServiceType:
    parameters = (takes.LINK, *further, lines)
    return ServiceType(name, about, parameters, lines, (lines,), takes.LINK, aliases=aliases)


def _package(
    name: str, about: str, *further: Parameter, aliases: tuple[str, ...] = ()
) -> ServiceType:
    return ServiceType(name, about, (takes.LINK, *further), None, (), takes.LINK, aliases=aliases)


TYPES = (
    _by_quantity("Default", "A quantity for a link.", dripfeed=True),
    _package("Package", "One package for a link; a quantity is ignored."),
    _by_lines(
        "Custom Comments",
        "Comments in your words.",
        takes.COMMENTS,
        aliases=("Custom Comment",),
    ),
    _package(
        "Custom Comments Package",
        "One package of comments in your words.",
        takes.PACKED_COMMENTS,
        aliases=("Custom Comment Package",),
    ),
    _by_quantity("Mentions", "Mentions of the accounts in a list.", takes.USERNAMES),
    _by_quantity(
        "Mentions with Hashtags",
        "Mentions of the accounts in a list, with hashtags.",
        takes.USERNAMES,
        takes.HASHTAGS,
    ),
    _by_lines(
        "Mentions Custom List", "One mention of each account in a list.", takes.COUNTED_USERNAMES
    ),
    _by_quantity("Mentions Hashtag", "Mentions of those who use a hashtag.", takes.HASHTAG),
    _by_quantity(
        "Mentions User Followers", "Mentions of the followers of an account.", takes.FOLLOWED
    ),
    _by_quantity("Mentions Media Likers", "Mentions of those who liked a post.", takes.MEDIA),
    _by_quantity("Comment Likes", "Likes of one account's comment on a post.", takes.COMMENTER),
    _by_lines(
        "Comment Replies", "Replies to one account's comment.", takes.REPLIES, takes.COMMENTER
    ),
    _by_quantity("Poll", "Votes for one answer of a poll.", takes.ANSWER),
    _by_quantity("Invites from Groups", "Members invited from other groups.", takes.GROUPS),
    _by_quantity("SEO", "Search signals for keywords.", takes.KEYWORDS),
    ServiceType(
        "Subscriptions",
        "Serves posts of an account as they appear. Paid in advance: max for each of posts and"
        " old_posts; what was not delivered is refunded. It has no link and no quantity.",
        (
            takes.SUBSCRIBER,
            takes.MIN,
            takes.MAX,
            takes.POSTS,
            takes.OLD_POSTS,
            takes.DELAY,
            takes.EXPIRY,
        ),
        counted=takes.MAX,
        limited=(takes.MIN, takes.MAX),
        target=takes.SUBSCRIBER,
        times=(takes.POSTS, takes.OLD_POSTS),
        aliases=("Subscription",),
    ),
    _by_quantity(
        "Web Traffic",
        "Visits to a page.",
        takes.COUNTRY,
        takes.DEVICE,
        takes.TRAFFIC,
        takes.GOOGLE_KEYWORD,
        takes.REFERRING_URL,
        dripfeed=True,
    ),
)

SERVICE_TYPES: dict[str, ServiceType] = {kind.name: kind for kind in TYPES}


def _folded(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


_BY_FOLDED_NAME = {
    _folded(spelling): kind for kind in TYPES for spelling in (kind.name, *kind.aliases)
}


def find_service_type(text: str) -> ServiceType | None:
    """The type that ``text`` names, in whatever case, spacing or known spelling; else None."""
    return _BY_FOLDED_NAME.get(_folded(text))
