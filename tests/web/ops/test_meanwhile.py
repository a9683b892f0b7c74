"""What happens while somebody signs in: crowds of strangers, and changes of the account."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable
from functools import partial

import pyotp
import pytest

from gateway.operators import accounts
from gateway.operators.passwords import Passwords, TooManyStrangers
from gateway.operators.seeds import Seeds
from gateway.operators.sessions import Browser, find
from gateway.operators.signing_in import Begun, SigningIn
from gateway.store import operators
from gateway.store.connection import Pool
from gateway.web.exchange import Exchange
from gateway.web.leases import Leases
from gateway.web.ops.attempts import SignInAttempts, attempts_bucket
from schemas.operator_accounts import Stage
from schemas.operators import Role
from tests.web.ops.conftest import PASSWORD, WARRANT, SignedIn
from tests.web.ops.test_signing_in import Browse
from tests.world import KEYS

_BROWSER = Browser("192.0.2.7", "a browser")
_OTHER = "another few words"


class _Slow(Passwords):
    """Passwords of which something happens meanwhile."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def matches(self, password: str, hashed: str | None, *, known: bool = True) -> bool:
        found = await super().matches(password, hashed, known=known)
        await self._happen()
        return found

    async def hash(self, password: str) -> str:
        hashed = await super().hash(password)
        await self._happen()
        return hashed

    async def _happen(self) -> None:
        if self.meanwhile is not None:
            await self.meanwhile()


class _Door:
    """Signing in, apart from pages."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.passwords = _Slow()
        self.signing_in = SigningIn(pool, self.passwords, Seeds(KEYS))

    async def welcome(self, name: str, role: Role = Role.VIEWER) -> None:
        token = await accounts.create_operator(self.pool, WARRANT, name, role)
        assert await self.signing_in.with_welcome(token, PASSWORD, _BROWSER)

    async def sign_in(self, name: str) -> Begun | None:
        return await self.signing_in.with_password(name, PASSWORD, _BROWSER, known=True)


@pytest.fixture
def door(pool: Pool) -> _Door:
    """Signing in, to the test's database."""
    return _Door(pool)


async def test_an_address_that_tries_too_much_takes_no_accounts_attempts(redis_url: str) -> None:
    exchange = Exchange(redis_url)
    leases: Leases[Hashable] = exchange.leases(
        partial(attempts_bucket, database="test", pepper=b"a pepper")
    )
    attempts = SignInAttempts(leases, b"a key")
    waits = [attempts.take("a crowd", f"name{n}", "") for n in range(60)]
    assert waits[0] == 0
    assert waits[-1] > 0
    assert all(attempts.take("a crowd", "ada", "") for _ in range(30))
    assert attempts.take("elsewhere", "ada", "") == 0


async def test_a_crowd_of_strangers_is_bounded_and_who_is_known_passes_it() -> None:
    passwords = Passwords()
    kept = await passwords.hash(PASSWORD)
    crowd = [asyncio.ensure_future(passwords.matches("x", kept, known=False)) for _ in range(30)]
    await asyncio.sleep(0)
    assert await passwords.matches(PASSWORD, kept)
    done = await asyncio.gather(*crowd, return_exceptions=True)
    assert sum(isinstance(one, TooManyStrangers) for one in done) == 10
    assert await passwords.matches(PASSWORD, kept, known=False)


async def test_a_lock_or_another_password_while_one_is_checked_keeps_it_out(door: _Door) -> None:
    await door.welcome("ada")
    await door.welcome("bo")
    door.passwords.meanwhile = partial(
        accounts.change_operator, door.pool, WARRANT, "ada", enabled=False
    )
    assert await door.sign_in("ada") is None
    another = await Passwords().hash(_OTHER)
    change = "update operator set password = $1 where name = 'bo'"
    door.passwords.meanwhile = partial(door.pool.execute, change, another)
    assert await door.sign_in("bo") is None
    assert (
        await door.pool.fetchval("select count(*) from operator_session where stage = 'full'") == 1
    )


async def test_a_role_or_second_factor_that_came_meanwhile_counts(door: _Door) -> None:
    await door.welcome("ada")
    door.passwords.meanwhile = partial(
        accounts.change_operator, door.pool, WARRANT, "ada", role=Role.MANAGER
    )
    begun = await door.sign_in("ada")
    assert begun
    assert begun.stage is Stage.ENROL
    door.passwords.meanwhile = partial(door.pool.execute, "update operator set code_step = 1")
    begun = await door.sign_in("ada")
    assert begun
    assert begun.stage is Stage.CODE


async def test_a_session_that_has_ended_meanwhile_goes_no_further(door: _Door) -> None:
    await door.welcome("ada")
    seed = pyotp.random_base32()
    async with door.pool.acquire() as conn:
        operator = await operators.get_operator(conn, "ada")
        assert operator
        await Seeds(KEYS).keep(conn, operator.id, seed)
        await operators.set_code_step(conn, operator.id, 1)
    begun = await door.sign_in("ada")
    assert begun
    session = await find(door.pool, begun.value, is_look=True)
    assert session
    await accounts.end_sessions(door.pool, WARRANT, "ada")
    code = pyotp.TOTP(seed).now()
    assert await door.signing_in.with_code(session, code, _BROWSER) is None
    assert await door.pool.fetchval("select count(*) from operator_session") == 0


async def test_a_link_that_was_replaced_meanwhile_uses_up_neither(door: _Door) -> None:
    first = await accounts.create_operator(door.pool, WARRANT, "ada", Role.VIEWER)
    links: list[str] = []

    async def replaced() -> None:
        links.append(await accounts.reset_operator(door.pool, WARRANT, "ada"))

    door.passwords.meanwhile = replaced
    assert await door.signing_in.with_welcome(first, PASSWORD, _BROWSER) is None
    door.passwords.meanwhile = None
    assert await door.signing_in.with_welcome(links[0], PASSWORD, _BROWSER)


async def test_another_password_and_a_lock_take_a_welcome_link_back(
    pool: Pool, signed_in: SignedIn, browse: Browse
) -> None:
    client, stranger = await signed_in("ada", Role.VIEWER), await browse()
    link = await accounts.reset_operator(pool, WARRANT, "ada")
    await client.sign_in("ada", PASSWORD)
    fields = {"old": PASSWORD, "new": _OTHER, "again": _OTHER}
    await client.submit("/ops/account", "/ops/account/password", **fields)
    assert (await stranger.sign_in("ada", _OTHER)).location == "/ops"
    assert (await stranger.get(f"/ops/welcome/{link}")).status == 410
    link = await accounts.reset_operator(pool, WARRANT, "ada")
    for enabled in (False, True):
        await accounts.change_operator(pool, WARRANT, "ada", enabled=enabled)
    assert (await stranger.get(f"/ops/welcome/{link}")).status == 410


def _seed(text: str) -> str:
    found = re.search(r"<code>([A-Z2-7 ]{30,})</code>", text)
    return found[1].replace(" ", "") if found else ""


async def test_each_session_sets_up_a_seed_of_its_own(pool: Pool, browse: Browse) -> None:
    token = await accounts.create_operator(pool, WARRANT, "ada", Role.OWNER)
    thief, owner = await browse(), await browse()
    await thief.accept(f"{thief.url}/ops/welcome/{token}", PASSWORD)
    await owner.sign_in("ada", PASSWORD)
    seen = {_seed((await client.get("/ops/enrol")).text) for client in (thief, owner, owner)}
    assert "" not in seen
    assert len(seen) == 2
    assert await pool.fetchval("select count(*) from secret where owner = 'operator'") == 0
    assert (await owner.enrol()).status == 200
    assert (await thief.get("/ops/enrol")).location == "/ops/sign-in"


async def test_a_second_factor_is_set_up_for_the_password_alone(signed_in: SignedIn) -> None:
    client = await signed_in("ada", Role.VIEWER)
    page, path = "/ops/account", "/ops/account/second-factor"
    assert _seed((await client.submit(page, path)).text) == ""
    assert _seed((await client.submit(page, path, password="not this one")).text) == ""
    assert "present password is another one" in (await client.get(page)).words
    assert _seed((await client.submit(page, "/ops/enrol", code="000000")).text) == ""
    shown = await client.submit(page, path, password=PASSWORD)
    code = pyotp.TOTP(_seed(shown.text)).now()
    answer = await client.post("/ops/enrol", {"token": shown.token, "code": code})
    assert "Recovery codes" in answer.words
    assert (await client.get(page)).status == 200
