"""API keys: their form, how they are looked up, and how fast a revoked one is refused."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.peppers import Peppers, mac_of
from gateway.resellers import accounts
from gateway.resellers.keys import CACHE_SECONDS, KeyRing, is_ours, new_key
from gateway.store import resellers as store
from gateway.store.connection import Pool
from schemas.resellers import ANY_USE, Access, DuplicatePolicy, KeyTerms, Scope
from tests.world import BY_TEST, PEPPER, PEPPERS, Customer, World

_PEPPER = PEPPER.encode()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_has_the_promised_form() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert re.fullmatch(r"smm_[0-9A-Za-z]{32,}", key)
        assert is_ours(key)


@given(st.integers(0, 49), st.sampled_from("0aZ"))
def test_a_mistyped_key_is_told_by_its_checksum(position: int, character: str) -> None:
    key = new_key()
    mistyped = key[:position] + character + key[position + 1 :]
    assert is_ours(mistyped) == (mistyped == key)


@given(st.text())
def test_any_text_can_be_judged_and_looked_up(text: str) -> None:
    assert not is_ours(text)
    assert len(mac_of(_PEPPER, text)) == 32


def test_the_mac_depends_on_key_and_pepper() -> None:
    assert mac_of(_PEPPER, "a") == mac_of(_PEPPER, "a")
    assert mac_of(_PEPPER, "a") != mac_of(_PEPPER, "b")
    assert mac_of(_PEPPER, "a") != mac_of(b"another pepper", "a")


async def test_a_key_opens_its_reseller_s_account(world: World, pool: Pool) -> None:
    first, second = await world.reseller("first"), await world.reseller("second")
    ring = KeyRing(pool, PEPPERS)
    opened = await asyncio.gather(*(ring.open(c.key) for c in (first, second)))
    assert [access and access.reseller_id for access in opened] == [first.id, second.id]
    assert [access and access.currency for access in opened] == ["USD", "USD"]


@pytest.mark.parametrize(
    "text", ["0123456789abcdef0123456789abcdef", "пароль", "k", "a b'c\"; --", "\ud800", "x" * 256]
)
async def test_a_key_of_an_older_panel_is_found_whatever_its_text(
    world: World, pool: Pool, text: str
) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        await store.insert_key(conn, customer.id, mac_of(_PEPPER, text), "old")
    access = await KeyRing(pool, PEPPERS).open(text)
    assert access is not None
    assert access.reseller_id == customer.id


async def test_what_is_no_key_opens_nothing(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    ring = KeyRing(pool, PEPPERS)
    key = customer.key
    for text in ["", key[:-1], key + "x", key.upper(), " " + key, "x" * 257, new_key(), "\0"]:
        assert await ring.open(text) is None
    assert await KeyRing(pool, Peppers(b"another pepper")).open(key) is None


async def test_the_database_holds_no_key(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        kept = [str(dict(row)) for row in await conn.fetch("select * from api_key")]
    assert len(kept) == 1
    assert customer.key not in kept[0]
    assert customer.key[8:] not in kept[0]


async def test_a_revoked_key_is_refused_within_the_cache_time(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    clock = Clock()
    ring = KeyRing(pool, PEPPERS, clock)
    assert await ring.open(customer.key)
    async with pool.acquire() as conn:
        [key] = await accounts.reseller_keys(conn, customer.name)
        await accounts.revoke_key(conn, key.id, BY_TEST)
    assert await KeyRing(pool, PEPPERS, clock).open(customer.key) is None
    clock.now = CACHE_SECONDS
    assert await ring.open(customer.key) is None
    assert CACHE_SECONDS <= 5


async def test_a_suspension_is_seen_within_the_cache_time(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    clock = Clock()
    ring = KeyRing(pool, PEPPERS, clock)
    await ring.open(customer.key)
    async with pool.acquire() as conn:
        await conn.execute("update reseller set suspended = true")
    clock.now = CACHE_SECONDS
    access = await ring.open(customer.key)
    assert access is not None
    assert access.suspended


async def test_an_unknown_key_is_never_remembered(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    ring = KeyRing(pool, PEPPERS, Clock())
    key = new_key()
    assert await ring.open(key) is None
    async with pool.acquire() as conn:
        await store.insert_key(conn, customer.id, mac_of(_PEPPER, key), key[:8])
    assert await ring.open(key) is not None


async def test_revoking_twice_keeps_the_first_time(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        [key] = await accounts.reseller_keys(conn, customer.name)
        await accounts.revoke_key(conn, key.id, BY_TEST)
        [once] = await accounts.reseller_keys(conn, customer.name)
        await accounts.revoke_key(conn, key.id, BY_TEST)
        [twice] = await accounts.reseller_keys(conn, customer.name)
    assert once.revoked_at is not None
    assert once == twice


async def _key(pool: Pool, customer: Customer, terms: KeyTerms) -> str:
    async with pool.acquire() as conn:
        return (await accounts.issue_key(conn, customer.name, PEPPERS, BY_TEST, terms))[1]


async def test_a_key_opens_what_its_terms_and_its_account_say(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    networks = (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))
    key = await _key(pool, customer, KeyTerms(Scope.READ, networks))
    ring = KeyRing(pool, PEPPERS)
    assert await ring.open(key) == Access(
        key_id=2,
        reseller_id=customer.id,
        currency="USD",
        suspended=False,
        scope=Scope.READ,
        networks=networks,
        valid_seconds=None,
        request_limit=None,
        duplicates=DuplicatePolicy.SAFE_RETRY,
        text_ids=False,
        post_only=False,
    )
    async with pool.acquire() as conn:
        await accounts.change_reseller(
            conn,
            customer.name,
            lambda r: replace(
                r,
                request_limit=20,
                duplicates=DuplicatePolicy.ALLOW,
                text_ids=True,
                post_only=True,
                suspended=True,
            ),
            BY_TEST,
        )
    access = await KeyRing(pool, PEPPERS).open(customer.key)
    assert access is not None
    assert (access.scope, access.networks) == (Scope.ORDER, ())
    assert (access.request_limit, access.duplicates) == (20, DuplicatePolicy.ALLOW)
    assert access.text_ids
    assert access.post_only
    assert access.suspended


async def test_a_key_ends_within_the_cache_time_when_it_expires(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    ends = datetime.now(UTC) + timedelta(seconds=CACHE_SECONDS - 1)
    key = await _key(pool, customer, KeyTerms(expires_at=ends))
    clock = Clock()
    ring = KeyRing(pool, PEPPERS, clock)
    access = await ring.open(key)
    assert access is not None
    assert access.valid_seconds is not None
    assert 0 < access.valid_seconds < CACHE_SECONDS - 1
    clock.now = access.valid_seconds - 0.001
    assert ring.known(key) == access
    clock.now = access.valid_seconds
    assert ring.known(key) is None
    assert ring.known(customer.key) is None


async def test_an_expired_key_opens_nothing_until_its_end_is_moved(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller()
    past = datetime.now(UTC) - timedelta(seconds=1)
    key = await _key(pool, customer, KeyTerms(expires_at=past))
    assert await KeyRing(pool, PEPPERS).open(key) is None
    async with pool.acquire() as conn:
        [_, shown] = await accounts.reseller_keys(conn, customer.name)
        assert shown.terms.expires_at == past
        changed = await accounts.change_key(conn, shown.id, lambda _: ANY_USE, BY_TEST)
        assert (await accounts.reseller_keys(conn, customer.name))[1] == changed
    assert await KeyRing(pool, PEPPERS).open(key) is not None


async def test_changed_terms_are_seen_within_the_cache_time(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    clock = Clock()
    ring = KeyRing(pool, PEPPERS, clock)
    await ring.open(customer.key)
    async with pool.acquire() as conn:
        await accounts.change_key(conn, 1, lambda terms: replace(terms, scope=Scope.READ), BY_TEST)
    clock.now = CACHE_SECONDS
    access = await ring.open(customer.key)
    assert access is not None
    assert access.scope is Scope.READ


async def test_a_key_is_worth_a_look_up_by_its_form_or_because_it_opened_something(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        await store.insert_key(conn, customer.id, mac_of(_PEPPER, "imported"), "old")
    clock = Clock()
    ring = KeyRing(pool, PEPPERS, clock)
    assert ring.may_open(new_key())
    assert not ring.may_open("imported")
    await ring.open("imported")
    clock.now = 1000.0
    assert ring.may_open("imported")
    assert ring.known("imported") is None
    for text in ["", "guess", new_key()[:-1], "x" * 257]:
        assert not ring.may_open(text)
        assert ring.known(text) is None
