"""Where a call comes from: nobody can claim an address by writing it into a header."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.addresses import client_address, neighbourhood, read_address, within

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8:f::/48")]
CLIENT, OTHER = "203.0.113.7", "198.51.100.1"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", CLIENT),
        (" 203.0.113.7\t", CLIENT),
        ("203.0.113.7:4711", CLIENT),
        ('"203.0.113.7:4711"', CLIENT),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:DB8:0::1]:443"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", CLIENT),
        ("[::ffff:203.0.113.7]:80", CLIENT),
        ("::ffff:cb00:7107", CLIENT),
    ],
)
def test_an_address_is_read_as_sockets_and_proxies_write_it(text: str, address: str) -> None:
    assert read_address(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "unknown",
        "_hidden",
        "localhost",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.4/32",
        "2001:db8::1::2",
        "[]",
        "::1:",
        "1.2.3.4;",
        "1,2",
        "\u0661.2.3.4",
        "\0",
        "%eth0",
    ],
)
def test_anything_else_is_no_address(text: str) -> None:
    assert read_address(text) is None


@given(st.text())
def test_any_text_can_be_judged(text: str) -> None:
    address = read_address(text)
    assert address is None or read_address(str(address)) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # A peer that is no proxy is the client, whatever it says.
        (CLIENT, [], CLIENT),
        (CLIENT, [OTHER], CLIENT),
        (CLIENT, ["10.0.0.1"], CLIENT),
        ("2001:db8::9", [OTHER], "2001:db8::9"),
        # A proxy tells whom it saw; what stands before that may be invented.
        ("10.0.0.1", [CLIENT], CLIENT),
        ("10.0.0.1", [f"{OTHER}, {CLIENT}"], CLIENT),
        ("10.0.0.1", [f"10.0.0.9, {OTHER}, {CLIENT}"], CLIENT),
        ("10.0.0.1", [f"garbage, {CLIENT}"], CLIENT),
        ("10.0.0.1", [f"{CLIENT}:4711"], CLIENT),
        ("10.0.0.1", ["[2001:db8::9]:4711"], "2001:db8::9"),
        ("::ffff:10.0.0.1", [CLIENT], CLIENT),
        ("2001:db8:f::1", [CLIENT], CLIENT),
        # Through several proxies, and with the header in several lines.
        ("10.0.0.1", [f"{OTHER},{CLIENT}, 10.0.0.2 , 2001:db8:f::3"], CLIENT),
        ("10.0.0.1", [OTHER, f"{CLIENT}, 10.0.0.2"], CLIENT),
        ("10.0.0.1", [CLIENT, "10.0.0.2"], CLIENT),
        ("10.0.0.1", [f"{CLIENT},, ,"], CLIENT),
        # Nobody but proxies: the first of them.
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # Somebody whom the proxy could not name.
        ("10.0.0.1", ["unknown"], None),
        ("10.0.0.1", [f"{CLIENT}, unknown"], None),
        ("10.0.0.1", [f"{CLIENT}, _x, 10.0.0.2"], None),
        (None, [CLIENT], None),
        ("", [CLIENT], None),
    ],
)
def test_the_client_is_the_last_that_a_trusted_proxy_has_seen(
    peer: str | None, forwarded: list[str], client: str | None
) -> None:
    assert client_address(peer, forwarded, PROXIES) == (ip_address(client) if client else None)


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert client_address("10.0.0.1", [CLIENT], []) == ip_address("10.0.0.1")


@given(st.lists(st.text(max_size=30) | st.ip_addresses().map(str), max_size=5))
def test_whatever_a_client_writes_its_address_is_what_the_proxy_saw(invented: list[str]) -> None:
    forwarded = [", ".join([*invented, CLIENT])]
    assert client_address("10.0.0.1", forwarded, PROXIES) == ip_address(CLIENT)
    assert client_address(CLIENT, invented, PROXIES) == ip_address(CLIENT)


@pytest.mark.parametrize(
    ("address", "inside"),
    [("10.255.0.1", True), ("11.0.0.1", False), ("2001:db8:f::1", True), ("2001:db8::1", False)],
)
def test_an_address_lies_within_networks_of_its_kind(address: str, inside: bool) -> None:
    assert within(ip_address(address), PROXIES) is inside


def test_an_address_that_is_not_known_lies_in_no_network() -> None:
    assert not within(None, [ip_network("0.0.0.0/0"), ip_network("::/0")])


def test_attempts_are_counted_by_ipv4_address_and_by_the_ipv6_network_of_a_client() -> None:
    def counted(text: str) -> object:
        return neighbourhood(read_address(text))

    assert counted("203.0.113.7") != counted("203.0.113.8")
    assert counted("2001:db8::1") == counted("2001:db8::ffff:1")
    assert counted("2001:db8::1") != counted("2001:db8:0:1::1")
    assert counted("nobody") is None
