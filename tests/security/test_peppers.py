"""The pepper of API keys is exchanged while they are in use, and no key is refused for a moment."""

import asyncio
import json

import pytest

from gateway.peppers import Peppers, mac_of
from gateway.resellers import accounts, keys
from gateway.resellers.keys import KeyRing
from gateway.store import resellers
from gateway.store.connection import Pool
from schemas.resellers import KnownKey
from tests.cli.command import Command
from tests.world import BY_TEST, PEPPER, World

_NEW = "the next pepper for tests, 32 characters and more"
_ONLY_OLD = Peppers(PEPPER.encode())
_BOTH = Peppers(_NEW.encode(), PEPPER.encode())
_ONLY_NEW = Peppers(_NEW.encode())


async def _stored(pool: Pool, key: str) -> KnownKey:
    macs = [mac_of(pepper.encode(), key) for pepper in (PEPPER, _NEW)]
    async with pool.acquire() as conn:
        [found] = await resellers.list_known_keys(conn, macs)
    return found


async def test_a_key_is_known_by_the_new_pepper_once_it_was_used(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    assert await KeyRing(pool, _ONLY_NEW).open(customer.key) is None
    assert await KeyRing(pool, _BOTH).open(customer.key) is not None
    moved = await _stored(pool, customer.key)
    assert (moved.mac, moved.pepper_id) == (mac_of(_NEW.encode(), customer.key), _BOTH.id)
    assert await KeyRing(pool, _ONLY_NEW).open(customer.key) is not None
    # Nor does a process that has not heard of the new pepper refuse it, or move it back.
    assert await KeyRing(pool, _ONLY_OLD).open(customer.key) is not None
    assert await _stored(pool, customer.key) == moved


async def test_a_key_that_is_issued_meanwhile_opens_in_processes_of_either_kind(
    world: World, pool: Pool
) -> None:
    await world.reseller("acme")
    async with pool.acquire() as conn:
        _, key = await accounts.issue_key(conn, "acme", _BOTH, BY_TEST)
    for peppers in (_ONLY_OLD, _BOTH, _ONLY_NEW):
        assert await KeyRing(pool, peppers).open(key) is not None


async def test_a_key_that_cannot_be_moved_now_opens_all_the_same(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("select from api_key for update")
        assert await KeyRing(pool, _BOTH).open(customer.key) is not None
    assert (await _stored(pool, customer.key)).pepper_id == _ONLY_OLD.id
    assert await KeyRing(pool, _BOTH).open(customer.key) is not None
    assert (await _stored(pool, customer.key)).pepper_id == _BOTH.id


async def test_no_key_is_refused_while_processes_exchange_the_pepper_one_by_one(
    world: World, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "CACHE_SECONDS", 0)  # every call looks its key up
    customers = [await world.reseller(f"reseller-{number}") for number in range(40)]
    # What the processes have: the next kind joins the one before, and then takes its place.
    serving: list[KeyRing] = [KeyRing(pool, _ONLY_OLD)]
    calls = 0
    done = asyncio.Event()

    async def call(offset: int) -> None:
        nonlocal calls
        number = offset
        while not done.is_set():
            number += 1
            ring, customer = serving[number % len(serving)], customers[number % len(customers)]
            access = await ring.open(customer.key)
            assert access is not None
            assert access.reseller_id == customer.id
            calls += 1

    async def so_many_more(number: int) -> None:
        end = calls + number
        while calls < end:
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for offset in range(8):
            group.create_task(call(offset))
        for peppers in (_BOTH, _ONLY_NEW):
            await so_many_more(1_000)
            serving.append(KeyRing(pool, peppers))
            await so_many_more(1_000)
            del serving[0]
        await so_many_more(1_000)
        done.set()
    async with pool.acquire() as conn:
        assert await resellers.count_key_peppers(conn) == {_ONLY_NEW.id: len(customers)}


async def test_an_operator_sees_how_far_keys_have_moved_and_ends_it(
    world: World, pool: Pool, command: Command
) -> None:
    used, unused = await world.reseller("used"), await world.reseller("unused")
    both = {"security__pepper": _NEW, "security__old_pepper": PEPPER}

    async def status() -> dict[str, tuple[str, int]]:
        done = await command.run("secret", "status", "--json", **both)
        rows = [row for row in json.loads(done.out) if row["kind"] == "pepper"]
        return {row["id"]: (row["is"], row["protects"]) for row in rows}

    await KeyRing(pool, _BOTH).open(used.key)
    assert await status() == {_BOTH.id: ("current", 1), _ONLY_OLD.id: ("old", 1)}
    # Nothing is forgotten while processes may have the old one.
    await command.run("secret", "rotate", **both)
    assert (await _stored(pool, used.key)).mac_before is not None
    done = await command.run("secret", "rotate", "--json", security__pepper=_NEW)
    assert json.loads(done.out)["hashes_forgotten"] == 1
    assert (await _stored(pool, used.key)).mac_before is None
    assert await KeyRing(pool, _ONLY_NEW).open(unused.key) is None
    assert await KeyRing(pool, _BOTH).open(unused.key) is not None
