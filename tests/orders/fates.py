"""What every fault of the sandbox makes of an order."""

from dataclasses import dataclass

from schemas.orders import AttemptState, OrderState

CHARGE = 1_050_000  # a thousand at 0.84 and a markup of a quarter


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one order, here and upstream."""

    state: str
    attempt: str
    refunded: int
    upstream_orders: int


def placed() -> Fate:
    return Fate(OrderState.PLACED, AttemptState.PLACED, 0, 1)


def refused() -> Fate:
    return Fate(OrderState.FAILED, AttemptState.REJECTED, CHARGE, 0)


def waiting(attempt: AttemptState) -> Fate:
    return Fate(OrderState.QUEUED, attempt, 0, 0)


def frozen(upstream_orders: int) -> Fate:
    return Fate(OrderState.UNKNOWN, AttemptState.UNKNOWN, 0, upstream_orders)


#: Every fault that an ``add`` can meet, and what it must come to.
FATES: dict[str, Fate] = {
    # answered with an id, in whatever clothes
    **dict.fromkeys(
        [
            "slow-before:50",
            "slow-after:50",
            "id:text",
            "notice",
            "huge-after:1000",
            "partial",
            "cancel",
            "stall",
            "status:Odd",
            "remains:-2",
            "start_count:n/a",
            "charge:0",
            "currency:EUR",
            "unique-link",
            "shape:list",
            'body-after:{"order":9000001}',
        ],
        placed(),
    ),
    # refused in known words
    **dict.fromkeys(
        [
            "refuse",
            "refuse-400",
            "refuse-401",
            "refuse-403",
            "refuse-404",
            "refuse-405",
            "refuse-422",
            "refuse:Incorrect service ID",
            "refuse:Quantity less than minimal 5000",
            "refuse-400:Service is not available",
        ],
        refused(),
    ),
    **dict.fromkeys(
        ["bad-key", "no-funds", "active-link", "refuse:Too many requests", "refuse:Maintenance"],
        waiting(AttemptState.REJECTED),
    ),
    # documented as not processed
    "too-many": waiting(AttemptState.NOT_SENT),
    # nothing proves either, and none exists
    **dict.fromkeys(
        [
            "reset-before",
            "close-before",
            "hang-before",
            "500-before",
            "502-before",
            "503-before",
            "504-before",
            "html-before",
            "empty-before",
            "body-before",
            "truncated-before",
            "cut-before",
            "redirect-before",
            "redirect-before:302",
            "noise-before",
            "maintenance",
            "refuse:Something went wrong",
            "refuse-403:Nobody knows why",
            "body-before:null",
            "body-before:{}",
            'body-before:"ok"',
            "body-before:NaN",
            'body-before:{"status":"x"}',
            "body-before:" + "[" * 1500,
        ],
        frozen(0),
    ),
    # nothing proves either, and one exists
    **dict.fromkeys(
        [
            "reset-after",
            "close-after",
            "hang-after",
            "500-after",
            "502-after",
            "503-after",
            "504-after",
            "html-after",
            "empty-after",
            "body-after",
            "truncated-after",
            "cut-after",
            "redirect-after",
            "redirect-after:301",
            "redirect-after:308",
            "noise-after",
            "huge-after",
            "id:half",
            "id:bool",
            "id:null",
            "id:zero",
            "id:negative",
            "id:list",
            "id:none",
            "id:error",
        ],
        frozen(1),
    ),
}
