"""The closed list of errors: every text that an answer may carry, when, and what to do then."""

import re
from dataclasses import dataclass

from schemas import panel_v2 as wire
from schemas.order_parameters import ORDER_OPTIONS
from schemas.services import TYPES

#: Stand for a number and for the name of a parameter inside a text.
NUMBER, NAME = "N", "<parameter>"

#: The parameters that have ``Incorrect <parameter>``; ``link`` has a text of its own.
NAMED_PARAMETERS = tuple(
    dict.fromkeys(
        parameter.name
        for parameters in (*(kind.parameters for kind in TYPES), ORDER_OPTIONS)
        for parameter in parameters
        if parameter.name != "link"
    )
)


@dataclass(frozen=True, slots=True)
class ErrorText:
    """One error: its text, when it comes, and what a client can do.

    ``status`` is the HTTP status; clients read the text, so nearly all are 200.
    """

    text: str
    when: str
    advice: str
    status: int = 200

    @property
    def pattern(self) -> str:
        """A regular expression for the whole text."""
        escaped = "".join(f"[{c}]" if c in ".,()?*+" else c for c in self.text)
        names = "|".join(NAMED_PARAMETERS)
        numbered = re.sub(r"\bN\b", "[0-9]+", escaped) if self.numbered else escaped
        return f"^{numbered.replace(NAME, f'({names})')}$"

    @property
    def numbered(self) -> bool:
        """Whether the text ends in a number."""
        return self.text.endswith(f" {NUMBER}")

    @property
    def fixed(self) -> bool:
        """Whether the text is always the same."""
        return not self.numbered and NAME not in self.text


ERRORS = (
    ErrorText(
        wire.INVALID_KEY,
        "The key is missing, unknown, revoked or expired, or it may only read.",
        "Check the key.",
    ),
    ErrorText(wire.SUSPENDED, "The account may read, but not order.", "Ask the operator."),
    ErrorText(
        wire.ORDERING_PAUSED,
        "New orders are not taken for the moment; everything else is answered.",
        "Repeat the add later.",
    ),
    ErrorText(wire.IP_NOT_ALLOWED, "The key is bound to other addresses.", "Ask the operator."),
    ErrorText(
        wire.INCORRECT_REQUEST,
        "The action is missing or unknown, a required parameter is missing, or parameters"
        " contradict each other.",
        "Compare the request with this page.",
    ),
    ErrorText(
        wire.INCORRECT_SERVICE,
        "No service with this id is sold to you.",
        "Read services again.",
    ),
    ErrorText(
        wire.BAD_LINK,
        "The link is empty, holds blanks, is several links, or is none.",
        "Send one link or user name.",
    ),
    ErrorText(
        wire.incorrect(NAME),
        "The named parameter is present but bad.",
        "Compare its format with the table of the service's type.",
    ),
    ErrorText("Quantity less than minimal N", "Below the service's min.", "Order at least N."),
    ErrorText("Quantity more than maximum N", "Above what can be ordered.", "Order at most N."),
    ErrorText(
        "Quantity must be a multiple of N",
        "The service is sold in steps.",
        "Round the quantity to a multiple of N.",
    ),
    ErrorText(wire.NOT_ENOUGH_FUNDS, "The balance does not cover the charge.", "Top up."),
    ErrorText(
        wire.PRICE_CHANGED,
        "The order would cost more than max_charge.",
        "Read services again and decide anew.",
    ),
    ErrorText(
        wire.ACTIVE_LINK,
        "Your account refuses a second order for a link while one is open.",
        "Wait until the first one has ended.",
    ),
    ErrorText(
        wire.EXTERNAL_ID_USED,
        "Another order has this external_id.",
        "Use one name for one order.",
    ),
    ErrorText(
        wire.INCORRECT_ORDER, "No order of yours has this id.", "Check the id that add returned."
    ),
    ErrorText(
        wire.REFILL_DISABLED,
        "The service has no refill, or the order is a drip-feed.",
        "See refill in services; of a drip-feed, ask for its runs.",
    ),
    ErrorText(
        wire.NOT_COMPLETED,
        "Only what was delivered is refilled: orders that are Completed or Partial.",
        "Wait for its end.",
    ),
    ErrorText(
        wire.REFILL_TOO_EARLY,
        "It is too early.",
        "Repeat after 24 hours.",
    ),
    ErrorText(
        wire.REFILL_OPEN,
        "An earlier refill is still open.",
        "Ask for its refill_status.",
    ),
    ErrorText(wire.REFILL_OVER, "The guarantee has ended.", "Place a new order."),
    ErrorText(wire.REFILL_NOT_FOUND, "No refill of yours has this id.", "Check the id."),
    ErrorText(
        wire.CANCEL_UNAVAILABLE,
        "The service has no cancel and the order is no drip-feed, or the order has ended.",
        "See cancel in services; a drip-feed can always be canceled.",
    ),
    ErrorText(wire.CANCEL_REQUESTED, "It was asked for before.", "Follow the order's status."),
    ErrorText(
        wire.TOO_MANY_REQUESTS,
        "More calls than the key's limit allows.",
        "Wait for the seconds in Retry-After.",
        429,
    ),
    ErrorText(
        wire.PLAIN_HTTP,
        "The call came without TLS, so that its key may have been read on the way.",
        "Ask for another key, and call https.",
        403,
    ),
    ErrorText(wire.TOO_LARGE, "The request is larger than 1 MB.", "Send less in one request.", 413),
    ErrorText(
        wire.TEMPORARY,
        "Something failed here, and whether the call took effect may not be known.",
        "Repeat an add only with the same external_id; anything else after Retry-After.",
        503,
    ),
)


def is_listed(text: str) -> bool:
    """Whether a text is on the list."""
    return any(re.search(error.pattern, text) for error in ERRORS)
