"""The refusal table: what panels say when they refuse, and whom each refusal concerns.

A text that is not in this table proves nothing. On ``add`` it must not be taken for a refusal,
because money is given back on one; so texts are compared whole, never searched for words. Texts
that only say that something went wrong are left out on purpose: the order may exist.
"""

import re
import unicodedata

from providers.panel_options import PARAMETERS
from schemas.upstream import RefusalGroup

#: Panels say "Incorrect" of these and mean the order's; of an id or a link they say more.
_PARAMETERS = PARAMETERS - {
    *("action", "service", "order", "orders", "refill", "refills", "limit"),
}

#: Whole texts per group. ``#`` stands for a number; case, blanks and final dots do not matter.
_TEXTS: dict[RefusalGroup, tuple[str, ...]] = {
    RefusalGroup.ORDER: (
        "Incorrect request",
        "Invalid request",
        "Missing data",
        "Request too large",
        "There are missing required parameters. Please check your API Manual",
        "You must fill in the required fields",
        # quantity
        "Quantity less than minimal #",
        "Quantity more than maximum #",
        "Quantity must to be greater than or equal to minimum amount #",
        "Quantity must to be less than or equal to maximum amount #",
        "Quantity must be between # and #",
        "Quantity must be a multiple of #",
        "Quantity must be multiple of #",
        "Quantity is required",
        "Invalid quantity",
        "Minimum quantity is #",
        "Maximum quantity is #",
        "Please follow the limit",
        "Please specify at least minimum quantity",
        "You did not meet the minimum number",
        "Enter a value above the minimum number",
        "The maximum number has been exceeded",
        "Maximum number exceed",
        "Price changed",
        # link
        "Bad link",
        "Invalid link",
        "Link is required",
        "The link field is required",
        "Instagram profile is hidden",
        # other parameters
        "Comments field is required",
        *(f"Incorrect {parameter}" for parameter in sorted(_PARAMETERS)),
        "Interval time is required",
        "Runs is required",
        "Invalid interval in minutes",
        "This services does not support dripfeed feature!",
        # orders and their refills and cancellations
        "Incorrect order ID",
        "Order not found",
        "Empty order ID",
        "Order ID is required parameter. Please check your API Manual",
        "Refill is disabled for this service",
        "The order was completed or refill was requested less than # hours ago",
        "The refill task is not completed for this order",
        "The order is not completed",
        "Refill days are over",
        "Refill not found",
        "Refill request not found",
        "Refill pending",
        "Refill inprogress",
        "Refill not allowed , try again later",
        "Order not eligible for refill",
        "There are no more refills available for today",
        "Cancel already requested",
        "Cancel is not available",
        "This order cannot be canceled",
        "This order cannot be cancelled",
        "Cannot cancel",
    ),
    RefusalGroup.SERVICE: (
        "Incorrect service ID",
        "Disabled service ID",
        "Invalid service",
        "Invalid service ID",
        "Service ID does not exists",
        "Service is not available",
        "Service temporarily disabled",
        "Service not found or inactive",
        "Service is inactive or not found",
    ),
    RefusalGroup.ACCOUNT: (
        "Invalid API key",
        "Incorrect API key",
        "Missing API key",
        "API key is incorrect",
        "API key invalid",
        "Incorrect request or API key",
        "API is Disable for this user or User Not Found! Contact the Support",
        "API access disabled",
        "Unauthorized",
        "IP not allowed",
        "user_inactive",
        "Account suspended",
        "Your account has been suspended",
        "Your account is inactive",
        "The account does not exists",
        # funds
        "Not enough funds on balance",
        "Not enough funds",
        "Insufficient balance",
        "Insufficient funds",
        "Low balance",
        "Network balance is too low",
        "You have insufficient balance",
        "Your balance is insufficient",
    ),
    RefusalGroup.TEMPORARY: (
        "You have active order with this link. Please wait until order being completed",
        "You have active order with this link",
        "You cannot start a new order with the same link that is active processing order",
        "An identical order was just placed",
        "Duplicate link",
        "Link duplicate",
        "Processing another transaction",
        "Too many requests",
        "Rate limit exceeded",
        "Rate limit exceeded. Slow down",
        "Ordering is disabled",
        "Ordering is paused",
        "Maintenance",
        "Under maintenance",
        "Maintenance mode",
        "System maintenance",
        "System is under maintenance",
        "Site is under maintenance",
        "API is under maintenance",
    ),
}

#: The panel does not know what it was asked to do. For an order that is a fault of the account's
#: configuration; for a refill it only says that this panel has none.
_UNKNOWN_ACTION = (
    "Invalid action",
    "This action is invalid",
    "Unknown action specified!",
    "Unknown action",
    "Incorrect action",
    "Incorrect method name",
    "The action field is required",
)

#: The last part of codes like ``neworder.error.min_quantity``.
_CODES: dict[RefusalGroup, tuple[str, ...]] = {
    RefusalGroup.ORDER: (
        "link",
        "invalid_link",
        "link_not_found",
        "min_quantity",
        "max_quantity",
        "invalid_quantity",
        "not_enough_quantity",
        "comment",
        "schedule_time",
    ),
    RefusalGroup.SERVICE: ("incorrect_service_id", "service_not_found", "service_inactive"),
    RefusalGroup.ACCOUNT: ("not_enough_funds", "insufficient_balance", "account_banned"),
    RefusalGroup.TEMPORARY: ("link_duplicate", "too_many_orders"),
}

#: Numbers that one family sends as ``status`` beside an error. 113 is said of an empty balance
#: and of an active link alike: both pass. 114 is said of internal errors too, so it is no proof.
_NUMBERS: dict[RefusalGroup, tuple[int, ...]] = {
    RefusalGroup.ORDER: (101, 104, 107, 108, 109, 110, 111, 112),
    RefusalGroup.SERVICE: (105, 115),
    RefusalGroup.ACCOUNT: (102, 103),
    RefusalGroup.TEMPORARY: (113,),
}

_DIGITS = re.compile(r"\d+(?:[.,]\d+)*", re.ASCII)
_CODE = re.compile(r"(?:[a-z_]+\.)*error\.([a-z_]+)", re.ASCII)


def normalised(text: str) -> str:
    """``text`` as the table compares it: one case, single blanks, ``#`` for each number."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _DIGITS.sub("#", " ".join(plain.split())).rstrip(" .")


_ACTION_TEXTS = frozenset(map(normalised, _UNKNOWN_ACTION))
_GROUP_OF_TEXT = dict.fromkeys(_ACTION_TEXTS, RefusalGroup.ACCOUNT)
_GROUP_OF_TEXT |= {normalised(text): group for group, texts in _TEXTS.items() for text in texts}
_GROUP_OF_CODE = {code: group for group, codes in _CODES.items() for code in codes}
_GROUP_OF_NUMBER = {number: group for group, numbers in _NUMBERS.items() for number in numbers}
_REQUEST_TEXTS = frozenset({"incorrect request", "invalid request"})


def group_of(text: str) -> RefusalGroup | None:
    """Whom the refusal ``text`` concerns; None when the table does not know it."""
    plain = normalised(text)
    code = _CODE.fullmatch(plain)
    if code:
        return _GROUP_OF_CODE.get(code[1])
    return _GROUP_OF_TEXT.get(plain)


def group_of_number(number: int) -> RefusalGroup | None:
    """Whom the numeric ``status`` beside an error concerns."""
    return _GROUP_OF_NUMBER.get(number)


def is_unknown_action(text: str) -> bool:
    """Whether the panel says that it has no such action."""
    return normalised(text) in _ACTION_TEXTS


def is_incorrect_request(text: str) -> bool:
    """Whether the panel did not understand the request, so that it says nothing of the order."""
    return normalised(text) in _REQUEST_TEXTS


#: What panels say when they looked for a parameter under another name, or in another form.
_MISSING = frozenset(
    normalised(text)
    for text in (
        "Missing data",
        "Empty order ID",
        "You must fill in the required fields",
        "Order ID is required parameter. Please check your API Manual",
        "There are missing required parameters. Please check your API Manual",
    )
)


def is_missing_parameter(text: str) -> bool:
    """Whether the panel did not find what it was asked about."""
    return normalised(text) in _MISSING


#: What panels say of an order that they do not have, or do not have yet.
_NO_SUCH_ORDER = frozenset(
    {
        "incorrect order id",
        "incorrect order",
        "invalid order id",
        "order not found",
        "no such order",
    }
)


def means_no_such_order(text: str) -> bool:
    """Whether an error about one order says that the panel does not have it."""
    return normalised(text) in _NO_SUCH_ORDER


#: What panels say when they already have an order for the same link.
_ACTIVE_LINK = frozenset(
    {
        "you have active order with this link. please wait until order being completed",
        "you have active order with this link",
        "you cannot start a new order with the same link that is active processing order",
        "an identical order was just placed",
    }
)


def means_active_link(text: str) -> bool:
    """Whether a refusal says that the panel has an order for this link, which may be ours."""
    plain = normalised(text)
    return plain in _ACTIVE_LINK or plain.endswith("error.link_duplicate")
