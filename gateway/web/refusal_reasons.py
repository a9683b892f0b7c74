"""Why an ``add`` was not taken, in words that can be labels of metrics: few, and never a value."""

from schemas import panel_v2 as wire

_REASONS = {
    wire.INVALID_KEY: "key",
    wire.IP_NOT_ALLOWED: "address",
    wire.SUSPENDED: "suspended",
    wire.INCORRECT_REQUEST: "request",
    wire.INCORRECT_SERVICE: "service",
    wire.BAD_LINK: "link",
    wire.NOT_ENOUGH_FUNDS: "funds",
    wire.PRICE_CHANGED: "price",
    wire.ACTIVE_LINK: "active_link",
    wire.EXTERNAL_ID_USED: "external_id",
}


def reason_of(text: str) -> str:
    """The reason behind an answer's ``error`` text; ``parameter`` for all that name one."""
    if text.startswith("Quantity "):
        return "quantity"
    return _REASONS.get(text, "parameter")
