"""Every type that we sell, bought from a real panel: sent as it must be, settled to the unit."""

import json
from fractions import Fraction
from math import ceil

import pytest

from gateway.orders.drafting import draft_order
from schemas.catalogue import Service
from schemas.orders import OrderState
from schemas.services import SERVICE_TYPES
from tests.orders.line import Line

#: Types whose upstream says nothing of what remains that could be charged.
NO_REMAINS = {"Package", "Custom Comments Package"}


def _service(line: Line, name: str) -> Service:
    found = [s for s in line.catalogue.current.services.values() if s.type == name]
    return min(found, key=lambda service: service.id)


def _quantity(name: str) -> int:
    """What the type's example pays for, told independently of the code that prices it."""
    example = SERVICE_TYPES[name].example
    return {
        "Package": 1,
        "Custom Comments": 3,
        "Custom Comments Package": 1,
        "Mentions Custom List": 5,
        "Comment Replies": 2,
        "Subscriptions": 200 * 5,
    }.get(name) or int(example["quantity"])


async def _buy(line: Line, name: str) -> int:
    draft = draft_order(
        _service(line, name),
        SERVICE_TYPES[name].example,
        reseller_id=line.customer.id,
        currency="USD",
        request_id=f"r-{name}",
    )
    return (await line.intake.submit(draft)).order_id


def _charge(line: Line, name: str) -> int:
    pieces = 1000 if SERVICE_TYPES[name].counted is None else _quantity(name)
    return ceil(Fraction(_service(line, name).rate * pieces, 1000))


def _left(end: str, quantity: int) -> int:
    """What is undelivered at that end."""
    return {"Completed": 0, "Canceled": quantity}.get(end, max(1, quantity * 3 // 10))


async def test_the_sandbox_sells_every_type_and_all_are_imported_for_sale(line: Line) -> None:
    sold = {service.type for service in line.catalogue.current.services.values()}
    assert sold == set(SERVICE_TYPES)


@pytest.mark.parametrize("end", ["Completed", "Partial", "Canceled"])
async def test_every_type_is_sent_whole_and_settles_to_the_exact_amount(
    line: Line, end: str
) -> None:
    # A subscription completes by its posts, which are orders of their own.
    names = [name for name in SERVICE_TYPES if end == "Canceled" or name != "Subscriptions"]
    made = {name: await _buy(line, name) for name in names}
    await line.send()
    sent = {r["parameters"]["service"]: r["parameters"] for r in line.panel.received()}
    left = {name: _left(end, _quantity(name)) for name in made}
    for name, number in made.items():
        upstream = _service(line, name).routes[0].upstream_service
        expected = {"action": "add", "service": upstream} | SERVICE_TYPES[name].example
        assert sent[upstream] == expected, name
        row = await line.row(number)
        assert (row["state"], row["quantity"]) == (OrderState.PLACED, _quantity(name)), name
        command = {"order": int(row["upstream_id"]), "status": end, "remains": left[name]}
        await line.panel.control("order", command)
    await line.poll()
    spent = 0
    for name, number in made.items():
        row, quantity, charge = await line.row(number), _quantity(name), _charge(line, name)
        assert row["charge"] == charge, name
        if end == "Partial" and name in NO_REMAINS:
            # Nobody can say what the missing part is worth: a person looks.
            assert (row["state"], row["refunded"]) == (OrderState.REVIEW, 0), name
            spent += charge
            continue
        back = {"Completed": 0, "Canceled": charge}.get(end, charge * left[name] // quantity)
        assert (row["state"], row["refunded"]) == (OrderState(end.lower()), back), name
        assert await line.told(number) == (end, charge - back, left[name]), name
        spent += charge - back
    assert await line.spent() == spent
    await line.world.assert_sound()


async def test_what_is_stored_of_an_order_is_canonical(line: Line) -> None:
    service = _service(line, "Subscriptions")
    fields = {
        "username": " https://www.instagram.com/a?igsh=b ",
        "min": "20.0",
        "max": " 30 ",
        "old_posts": "4",
        "delay": "0.0",
        "expiry": "2099-1-2",
    }
    draft = draft_order(
        service, fields, reseller_id=line.customer.id, currency="USD", request_id="r-1"
    )
    row = await line.row((await line.intake.submit(draft)).order_id)
    assert (row["link"], row["quantity"]) == ("https://www.instagram.com/a", 120)
    assert json.loads(row["parameters"]) == {
        "min": "20",
        "max": "30",
        "posts": "0",
        "old_posts": "4",
        "delay": "0",
        "expiry": "02/01/2099",
    }
