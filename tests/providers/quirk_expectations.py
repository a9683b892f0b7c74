"""What each answer in the regression data means, by its id."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from providers.errors import Ambiguous, ProviderError, Rejected, Unavailable
from schemas.upstream import (
    RefillWord,
    RefusalGroup,
    RefusedRow,
    UpstreamBalance,
    UpstreamCatalogue,
    UpstreamRefill,
    UpstreamRequest,
    UpstreamService,
    UpstreamStatus,
    UpstreamWord,
)

METHODS = ("services", "balance", "add", "status", "refill", "refill_status", "cancel")


@dataclass(frozen=True)
class Fails:
    """The error that an answer must become, and whom a refusal concerns."""

    error: type[ProviderError]
    group: RefusalGroup | None = None


@dataclass(frozen=True)
class Asked:
    """What an answer means when ``ids`` were asked, with ``more`` answers for later requests."""

    ids: tuple[str, ...]
    outcome: object
    more: tuple[str, ...] = ()
    requests: int = 1


def one(outcome: object, order_id: str = "77") -> Asked:
    return Asked((order_id,), {order_id: outcome})


def everywhere(outcome: object, **others: object) -> dict[str, object]:
    return {method: others.get(method, outcome) for method in METHODS}


def service(number: str, name: str, rate: str, low: int, high: int, **more: Any) -> UpstreamService:
    plain: dict[str, Any] = {"category": "c", "type": "Default", "type_known": True}
    flags = {"refill": False, "cancel": False, "dripfeed": False}
    return UpstreamService(
        service=number,
        name=name,
        rate=Decimal(rate),
        minimum=low,
        maximum=high,
        **plain | flags | more,
    )


def catalogue(*services: UpstreamService, refused: tuple[RefusedRow, ...] = ()) -> object:
    return UpstreamCatalogue(services, refused)


def order(word: UpstreamWord | None, raw: str, **fields: Any) -> UpstreamStatus:
    return UpstreamStatus(word, raw_word=raw, **fields)


def no_order(text: str) -> UpstreamStatus:
    return UpstreamStatus(None, error=text)


def refused(text: str) -> UpstreamRequest:
    return UpstreamRequest(taken=False, error=text)


def rejected(group: RefusalGroup) -> Fails:
    return Fails(Rejected, group)


TAKEN = UpstreamRequest(taken=True)
UNCLEAR = Fails(Ambiguous)
UNUSABLE = Fails(Unavailable)
OF_ORDER = rejected(RefusalGroup.ORDER)
OF_ACCOUNT = rejected(RefusalGroup.ACCOUNT)
LATER = rejected(RefusalGroup.TEMPORARY)
USD = "USD"
W = UpstreamWord

EXPECTED: dict[str, object] = {
    # the catalogue
    "S01": catalogue(
        service(
            "1", "Followers", "0.90", 50, 10000, category="First Category", refill=True, cancel=True
        ),
        service(
            "2",
            "Comments",
            "8",
            10,
            1500,
            category="Second Category",
            type="Custom Comments",
            cancel=True,
        ),
    ),
    "S03": catalogue(
        service(
            "10101461",
            "facebook.buff.live - Channel(61) - - text",
            "880",
            10,
            5000,
            category="facebook.buff.live",
        )
    ),
    "S06": catalogue(
        service(
            "7",
            "TK2 TikTok Followers",
            "0.24000000000000002",
            100,
            50000,
            category="Tiktok Followers [Refill]",
            refill=True,
        ),
        service("9", "ints", "1", 10, 20, category="x", type="Package"),
        refused=(RefusedRow("8", "min is above max"),),
    ),
    "S08": catalogue(refused=(RefusedRow("1", "min is above max"),)),
    "S09": catalogue(
        refused=(RefusedRow("900", "the name is a separator: a heading, not a service"),)
    ),
    "S10": catalogue(service("1", "x", "0.50", 100, 1000, category="y", cancel=True)),
    "S12": catalogue(service("12", "x", "1", 1, 2), service("13", "y", "2", 1, 2)),
    "S23": UNUSABLE,
    "S13": catalogue(),
    "S14": catalogue(),
    "S16": catalogue(
        service("1", "KakaoTalk Channel Friends", "5.00", 10, 100000, category="KakaoTalk Channel")
    ),
    "S18": OF_ACCOUNT,
    "S20": OF_ACCOUNT,
    "S21": catalogue(service("5", "n", "1.2", 10, 100, refill=True)),
    "S22": catalogue(
        service(
            "26",
            "x",
            "60.0",
            3,
            130,
            category="INSTAGRAM_COMMENTS",
            type="Custom Comments",
            cancel=True,
        )
    ),
    # orders
    "A01": "23501",
    "A02": "23501",
    "A07": "991",
    "A09": "77",
    "A10": "mock_1714",
    "A12": "ord_8f2c",
    "A14": OF_ACCOUNT,
    "A17": LATER,
    "A18": OF_ORDER,
    "A20": OF_ORDER,
    "A23": OF_ORDER,
    "A26": OF_ORDER,
    "A27": OF_ACCOUNT,
    "A28": UNUSABLE,
    "A29": UNCLEAR,
    "A34": UNCLEAR,
    "A35": LATER,
    # one order's status
    "T02": one(
        order(
            W.COMPLETED,
            "Completed",
            start_count=None,
            remains=0,
            charge=Decimal("0.14"),
            currency=USD,
        )
    ),
    "T07": one(
        order(
            W.PROCESSING, "Processing", start_count=0, remains=1000, charge=Decimal(1), currency=USD
        ),
        "507f1f77bcf86cd799439011",
    ),
    "T10": one(order(W.COMPLETED, "Completed", start_count=10, remains=0, charge=Decimal("0.5"))),
    "T11": one(order(W.PARTIAL, "Partially Completed")),
    "T12": one(order(W.PARTIAL, "3", remains=5)),
    "T15": one(no_order("Order not found.")),
    "T16": one(no_order("Incorrect order ID")),
    "T17": one(order(W.COMPLETED, "Complete", start_count=1000, remains=500, currency=USD)),
    "T18": one(order(W.CANCELED, "Order Cancelled", remains=500)),
    "T21": one(
        order(
            W.COMPLETED,
            "Completed",
            start_count=44,
            remains=0,
            charge=Decimal("0.08011655652"),
            currency=USD,
        )
    ),
    "T23": one(order(W.IN_PROGRESS, "Active", orders=("1001", "1002"), posts=3)),
    "T27": one(
        order(
            W.COMPLETED, "Completed", start_count=0, remains=1000, charge=Decimal(0), currency=USD
        )
    ),
    "M09": one(no_order("Incorrect order ID")),
    # the status of several
    "M01": Asked(
        ("1", "10", "100"),
        {
            "1": order(
                W.PARTIAL,
                "Partial",
                start_count=3572,
                remains=157,
                charge=Decimal("0.27819"),
                currency=USD,
            ),
            "10": no_order("Incorrect order ID"),
            "100": order(
                W.IN_PROGRESS,
                "In progress",
                start_count=234,
                remains=10,
                charge=Decimal("1.44219"),
                currency=USD,
            ),
        },
    ),
    "M02": Asked(
        ("1", "2"),
        {
            "1": order(
                W.COMPLETED,
                "Completed",
                start_count=1,
                remains=0,
                charge=Decimal("0.2"),
                currency=USD,
            ),
            "2": no_order("Incorrect order ID"),
        },
    ),
    "M04": Asked(
        ("276801", "266095"),
        {
            "276801": order(
                W.PROCESSING, "processing", start_count=1526, remains=None, charge=Decimal(1015)
            ),
            "266095": no_order("Incorrect order ID"),
        },
    ),
    "M05": Asked(
        ("1", "2", "3"),
        {
            "1": order(
                W.COMPLETED,
                "Completed",
                start_count=1,
                remains=0,
                charge=Decimal("0.2"),
                currency=USD,
            )
        },
    ),
    "M06": Asked(
        ("1", "2"),
        {"1": order(W.PENDING, "Pending"), "2": order(W.PARTIAL, "Partial", remains=3)},
        more=('{"status":"Pending"}', '{"status":"Partial","remains":"3"}'),
        requests=3,
    ),
    # balances
    "B18": UpstreamBalance(Decimal("12.5"), "BRL"),
    "B01": UpstreamBalance(Decimal("100.84292"), USD),
    "B02": UpstreamBalance(Decimal("12.3"), USD),
    "B03": UpstreamBalance(Decimal("1234.56"), "INR"),
    "B04": UpstreamBalance(Decimal("1234.56"), None),
    "B06": UpstreamBalance(Decimal("5.00"), None),
    "B07": UpstreamBalance(Decimal("5.00"), None),
    "B08": UpstreamBalance(Decimal("5.00"), USD),
    "B15": UpstreamBalance(Decimal("4.00"), None),
    "B16": UpstreamBalance(Decimal("2.10"), USD),
    "B17": UpstreamBalance(Decimal("7.25"), USD),
    "B10": UpstreamBalance(Decimal("5.00"), None),
    "B11": UpstreamBalance(Decimal("-0.0000012"), USD),
    # refills
    "R01": one(UpstreamRequest(taken=True, request_id="1")),
    "R02": Asked(
        ("1", "2", "3"),
        {
            "1": UpstreamRequest(taken=True, request_id="1"),
            "2": UpstreamRequest(taken=True, request_id="2"),
            "3": refused("Incorrect order ID"),
        },
    ),
    "R03": one(UpstreamRequest(taken=True, request_id="12345")),
    "R04": one(UpstreamRequest(taken=True, request_id="4218"), "4218"),
    "R08": one(refused("The order was completed or refill was requested less than 24 hours ago")),
    "R09": Asked(
        ("ord_1", "ord_2"),
        {
            "ord_1": UpstreamRequest(taken=True, request_id="ref_9"),
            "ord_2": refused("not eligible"),
        },
    ),
    "R10": one(UpstreamRequest(taken=True, request_id="12345")),
    "Q01": one(UpstreamRefill(RefillWord.COMPLETED, "Completed")),
    "Q02": Asked(
        ("1", "2", "3"),
        {
            "1": UpstreamRefill(RefillWord.COMPLETED, "Completed"),
            "2": UpstreamRefill(RefillWord.REJECTED, "Rejected"),
            "3": UpstreamRefill(None, error="Refill not found"),
        },
    ),
    "Q03": Asked(
        ("1", "2"),
        {
            "1": UpstreamRefill(RefillWord.COMPLETED, "Completed"),
            "2": UpstreamRefill(RefillWord.REJECTED, "Rejected"),
        },
    ),
    "Q05": Asked(
        ("2", "3"),
        {
            "2": UpstreamRefill(RefillWord.REJECTED, "Cancelled"),
            "3": UpstreamRefill(None, error="Refill Request Not found"),
        },
    ),
    # cancellations
    "X01": Asked(("9", "2"), {"9": refused("Incorrect order ID"), "2": TAKEN}),
    "X02": one(TAKEN),
    "X03": one(TAKEN),
    "X04": one(TAKEN),
    "X05": one(TAKEN, "12345"),
    "X06": Asked(("4218", "4219"), {"4218": TAKEN, "4219": refused("Cannot cancel")}),
    "X08": Asked(
        ("5", "6"),
        {"5": refused("Incorrect order ID"), "6": UpstreamRequest(taken=True, request_id="88")},
    ),
    "X09": one(TAKEN),
    # whatever was asked
    "E01": everywhere(OF_ACCOUNT),
    "E02": everywhere(OF_ACCOUNT),
    "E03": everywhere(OF_ACCOUNT),
    "E04": everywhere(OF_ACCOUNT),
    "E07": everywhere(UNUSABLE, add=UNCLEAR),
    "E09": everywhere(
        UNUSABLE,
        add=UNCLEAR,
        status={"77": no_order("y")},
        refill={"77": refused("y")},
        cancel={"77": refused("y")},
        refill_status={"77": UpstreamRefill(None, error="y")},
    ),
    "E10": everywhere(UNUSABLE, add=UNCLEAR),
    "E12": everywhere(UNUSABLE, add=UNCLEAR),
    "E13": everywhere(OF_ACCOUNT),
}
