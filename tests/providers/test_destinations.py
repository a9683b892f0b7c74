"""Requests go to public addresses and to networks that the operator names, however written."""

from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

import aiohttp
import pytest
from aiohttp import web

from providers.calls import Call
from providers.destinations import is_allowed, is_public, why_no_callback
from providers.errors import Unavailable
from providers.limits import Purpose
from providers.transport import Transport

_PRIVATE = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("192.88.99.1", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1"),
    *("fe80::1", "fc00::1", "fd12::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
    *("2002:7f00:1::1", "2001:db8::1", "::ffff:169.254.169.254"),
]
_PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"]

#: Ways to write this machine's own address.
_HERE = [
    *("127.0.0.1", "localhost", "localhost.", "127.1", "0x7f000001", "2130706433", "0177.0.0.1"),
    *("[::ffff:127.0.0.1]", "0", "127.0.0.1.", "%31%32%37.0.0.1", "\uff11\uff12\uff17.0.0.1"),
]


@pytest.mark.parametrize("text", _PRIVATE)
def test_what_is_not_public_is_refused_unless_it_is_named(text: str) -> None:
    address = ip_address(text)
    assert not is_public(address)
    assert not is_allowed(address, [ip_network("172.20.0.0/16")])
    plain = getattr(address, "ipv4_mapped", None) or address
    assert is_allowed(address, [ip_network(plain)])


@pytest.mark.parametrize("text", _PUBLIC)
def test_what_is_public_is_allowed(text: str) -> None:
    assert is_allowed(ip_address(text), [])


@pytest.mark.parametrize(
    "url",
    [
        *("http://a.example/", "https://u@a.example/", "https://u:p@a.example/", "https:///x"),
        *("https://a.example:22/", "https://a.example:99999/", "ftp://a.example", "a.example", ""),
    ],
)
def test_an_address_that_no_stranger_may_ask_us_to_call_is_told_why(url: str) -> None:
    assert why_no_callback(url) is not None


@pytest.mark.parametrize("url", ["https://a.example/hook?x=1", "https://a.example:8443/"])
def test_a_good_address_for_calls_is_taken(url: str) -> None:
    assert why_no_callback(url) is None


@pytest.fixture
async def canary() -> AsyncIterator[tuple[int, list[str]]]:
    """A server on this machine, which notes who reaches it."""
    hits: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        hits.append(request.host)
        return web.Response(text="secret")

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], hits
    await runner.cleanup()


async def test_this_machine_is_not_reached_however_its_address_is_written(
    canary: tuple[int, list[str]],
) -> None:
    port, hits = canary
    async with Transport(private=[]) as transport:
        for host in _HERE:
            for purpose in (Purpose.READ, Purpose.ADD):
                call = Call(f"http://{host}:{port}/", {"key": "k"})
                with pytest.raises(Unavailable, match="not sent"):
                    await transport.send(call, purpose, "key")
    assert hits == []


async def test_a_name_that_resolves_elsewhere_at_its_second_look_up_is_not_reached(
    canary: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, hits = canary

    async def rebound(*_: object, **__: object) -> list[dict[str, object]]:
        address = {"hostname": "a.example", "host": "127.0.0.1", "port": port}
        return [{**address, "family": 2, "proto": 6, "flags": 0}]

    monkeypatch.setattr(aiohttp.TCPConnector, "_resolve_host", rebound)
    async with Transport(private=[]) as transport:
        with pytest.raises(Unavailable, match="is not public"):
            await transport.send(
                Call(f"http://a.example:{port}/", {"key": "k"}), Purpose.ADD, "key"
            )
    assert hits == []


async def test_a_named_network_is_reached(canary: tuple[int, list[str]]) -> None:
    port, hits = canary
    async with Transport(private=[ip_network("127.0.0.0/8")]) as transport:
        answer = await transport.send(
            Call(f"http://127.0.0.1:{port}/", {"key": "k"}), Purpose.READ, "key"
        )
    assert (answer.status, len(hits)) == (200, 1)
