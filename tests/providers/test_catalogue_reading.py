"""Catalogues: sound rows, refused rows, and what is none."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers.catalogue_reading import read_catalogue
from providers.decoding import Json, Unreadable, decode
from tests.providers.answers import row

CATALOGUES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "catalogues"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rate": "abc"}, "rate is not a number"),
        ({"rate": ""}, "rate is not a number"),
        ({"rate": None}, "rate is not a number"),
        ({"rate": "0,90"}, "rate is not a number"),
        ({"rate": Decimal("NaN")}, "rate is not a number"),
        ({"rate": -1}, "rate is not above 0"),
        ({"rate": 0}, "rate is not above 0"),
        ({"rate": "0.000"}, "rate is not above 0"),
        ({"min": 3}, "min is above max"),
        ({"min": 0, "max": 0}, "min is above max"),
        ({"min": -1}, "min is negative"),
        ({"min": "1k"}, "not a whole number"),
        ({"max": None}, "not a whole number"),
        ({"max": 10**20}, "not a whole number"),
        ({"name": ""}, "name is empty"),
        ({"name": "\u202e\n"}, "name is empty"),
        ({"name": "/-----"}, "separator"),
        ({"service": ""}, "id is not usable"),
        ({"service": None}, "id is not usable"),
        ({"service": "1 2"}, "id is not usable"),
        ({"service": "x" * 65}, "id is not usable"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_others_stay(
    changes: dict[str, Any], reason: str
) -> None:
    found = read_catalogue([row(**changes), row(service=2)])
    assert [service.service for service in found.services] == ["2"]
    assert len(found.refused) == 1
    assert reason in found.refused[0].reason


def test_limits_are_brought_within_what_can_be_ordered() -> None:
    (service,) = read_catalogue([row(min=0, max="9999999999")]).services
    assert (service.minimum, service.maximum) == (1, 2_147_483_647)


def test_the_second_row_of_an_id_is_refused() -> None:
    found = read_catalogue([row(rate="1"), row(rate="2")])
    assert [service.rate for service in found.services] == [Decimal(1)]
    assert [refused.service for refused in found.refused] == ["1"]


@pytest.mark.parametrize(
    ("text", "name", "known"),
    [
        (None, "Default", True),
        ("default", "Default", True),
        ("custom_comments", "Custom Comments", True),
        ("Custom Comment", "Custom Comments", True),
        ("PACKAGE", "Package", True),
        ("fb_viplike", "fb_viplike", False),
        ("Subscriptions", "Subscriptions", True),
        ("mentions_with_hashtags", "Mentions with Hashtags", True),
    ],
)
def test_types_are_known_or_kept_as_they_are(text: str | None, name: str, known: bool) -> None:
    (service,) = read_catalogue([row(type=text)]).services
    assert (service.type, service.type_known) == (name, known)


@pytest.mark.parametrize(
    "payload",
    [None, 5, "x", {}, {"a": 1}, {"services": None}, {"data": "Nothing"}, [[]], ["a"], [None]],
)
def test_what_is_no_catalogue_is_not_an_empty_one(payload: Json) -> None:
    with pytest.raises(Unreadable):
        read_catalogue(payload)


def test_rows_of_another_api_are_named() -> None:
    with pytest.raises(Unreadable, match="the fields cost, id, title; needed are service, name"):
        read_catalogue([{"id": 7, "title": "x", "cost": 1}])


@pytest.mark.skipif(not CATALOGUES.exists(), reason=f"NO CATALOGUES AT {CATALOGUES}")
@pytest.mark.parametrize(
    ("name", "services", "refused", "unknown_types"),
    [("1-smm-api", 1282, 1, 0), ("1-smm", 237, 0, 0), ("2-martkingxanh", 350, 0, 4)],
)
def test_whole_live_catalogues_are_read(
    name: str, services: int, refused: int, unknown_types: int
) -> None:
    text = (CATALOGUES / f"{name}.json").read_text("utf-8")
    found = read_catalogue(decode(text))
    assert len(found.services) == services
    assert len(found.refused) == refused
    assert sum(not service.type_known for service in found.services) == unknown_types
