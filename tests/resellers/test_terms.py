"""Terms as operators write them."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from gateway.errors import UserError
from gateway.resellers.terms import limit_text, read_expiry, read_limit, read_networks

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("any", []),
        ("203.0.113.0/24", ["203.0.113.0/24"]),
        ("203.0.113.7", ["203.0.113.7/32"]),
        ("203.0.113.0/24, 2001:db8::/32", ["203.0.113.0/24", "2001:db8::/32"]),
        ("2001:db8::1", ["2001:db8::1/128"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
    ],
)
def test_networks_are_read(text: str, networks: list[str]) -> None:
    assert list(read_networks(text)) == [ip_network(network) for network in networks]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "203.0.113.7/24",
        "203.0.113.0/33",
        "panel.example",
        "203.0.113.0/24,any",
        "none",
        "203.0.113.0/24,,",
        "::ffff:203.0.113.0/120",
        ",".join(["203.0.113.7"] * 101),
    ],
)
def test_what_is_no_list_of_networks_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UserError, match="--allow"):
        read_networks(text)


def test_a_key_ends_at_a_day_after_some_days_or_never() -> None:
    assert read_expiry("2027-01-31", NOW) == datetime(2027, 1, 31, tzinfo=UTC)
    assert read_expiry("2026-11-23", NOW) == datetime(2026, 11, 23, tzinfo=UTC)
    assert read_expiry("90d", NOW) == NOW + timedelta(days=90)
    assert read_expiry("never", NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22",
        "2020-01-01",
        "2027-02-30",
        "31/01/2027",
        "2027-01-31T00:00",
        "0d",
        "-1d",
        "90",
        "90 d",
        "99999d",
        "1.5d",
        "\u0663d",
        "soon",
    ],
)
def test_what_is_no_end_of_a_key_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--expires"):
        read_expiry(text, NOW)


@pytest.mark.parametrize("text", ["20/s", "1/s", "1000000/s", "none", "default"])
def test_a_limit_is_shown_as_it_is_written(text: str) -> None:
    assert limit_text(read_limit(text)) == text


@pytest.mark.parametrize(
    "text", ["", "20", "0/s", "-1/s", "1000001/s", "20/m", "20 /s", "2.5/s", "\u0662/s", "None"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--limit"):
        read_limit(text)
