"""Signing in, step by step, and what each step is worth."""

from collections.abc import Awaitable, Callable

import pyotp
import pytest

from gateway.operators import accounts, codes, passwords
from gateway.operators.passwords import BadPassword, Passwords, require_good
from gateway.store import operator_actions
from gateway.store.connection import Pool
from schemas.operators import Role
from tests.web.ops.client import OperatorClient
from tests.web.ops.conftest import PASSWORD, WARRANT, SignedIn

Browse = Callable[[], Awaitable[OperatorClient]]
_SESSION = "__Host-sid"
_SEED = codes.seed_of(b"a key", "a cookie")
#: 64 characters, as a long passphrase may have.
_LONG = "seven brown horses walk over a wide green hill toward the sea 42"


async def test_an_owner_comes_in_by_the_link_a_password_and_a_second_factor(
    signed_in: SignedIn,
) -> None:
    client = await signed_in("ada", Role.OWNER)
    for path in ("/ops", "/ops/account", "/ops/operators", "/ops/log"):
        page = await client.get(path)
        assert page.status == 200, page.words


async def test_a_welcome_link_works_once_and_opening_it_does_not_use_it_up(
    pool: Pool, browse: Browse
) -> None:
    token = await accounts.create_operator(pool, WARRANT, "ada", Role.VIEWER)
    path = f"/ops/welcome/{token}"
    client = await browse()
    assert "Welcome, ada" in (await client.get(path)).words
    refused = await client.submit(path, path, password=PASSWORD, again="another text altogether")
    assert refused.status == 422
    assert (await client.submit(path, path, password="short", again="short")).status == 422
    assert (await client.accept(client.url + path, PASSWORD)).location == "/ops"
    other = await browse()
    assert (await other.get(path)).status == 410
    await pool.execute("update operator_welcome set expires_at = now()")
    second = await accounts.reset_operator(pool, WARRANT, "ada")
    assert (await other.get(f"/ops/welcome/{second}")).status == 200
    await pool.execute("update operator_welcome set expires_at = now()")
    assert (await other.get(f"/ops/welcome/{second}")).status == 410


async def test_a_stranger_a_wrong_password_and_a_disabled_operator_look_the_same(
    pool: Pool, signed_in: SignedIn, browse: Browse
) -> None:
    await signed_in("ada", Role.VIEWER)
    await signed_in("off", Role.VIEWER)
    await accounts.create_operator(pool, WARRANT, "new", Role.VIEWER)
    await accounts.change_operator(pool, WARRANT, "off", enabled=False)
    client = await browse()
    tries = [("nobody", PASSWORD), ("ada", "wrong"), ("off", PASSWORD), ("new", PASSWORD)]
    texts = set()
    for name, password in [*tries, ("ada", "x" * 5000)]:
        answer = await client.sign_in(name, password)
        assert answer.status == 403
        assert client.cookie(_SESSION) == ""
        texts.add(answer.words)
    assert len(texts) == 1


async def test_each_step_has_a_session_of_its_own_and_a_planted_one_is_worth_nothing(
    signed_in: SignedIn, browse: Browse
) -> None:
    owner = await signed_in("ada", Role.OWNER)
    client = await browse()
    await client.sign_in("ada", PASSWORD)
    half = client.cookie(_SESSION)
    # What is half signed in opens nothing but the next step.
    assert (await client.get("/ops")).location == "/ops/code"
    assert (await client.get("/ops/operators")).location == "/ops/code"
    page = await client.get("/ops/code")
    code = owner.recovery_codes.pop()
    await client.post("/ops/code", {"token": page.token, "code": code})
    whole = client.cookie(_SESSION)
    assert half
    assert whole not in ("", half)
    assert (await client.get("/ops")).status == 200
    thief = await browse()
    for value in (half, "chosen-by-an-attacker"):
        answer = await thief.get("/ops", Cookie=f"{_SESSION}={value}")
        assert answer.location == "/ops/sign-in"
    assert (await thief.get("/ops", Cookie=f"{_SESSION}={whole}")).status == 200


async def test_a_one_time_code_and_a_recovery_code_are_each_accepted_once(
    pool: Pool, signed_in: SignedIn, browse: Browse
) -> None:
    owner = await signed_in("ada", Role.OWNER)
    step = await pool.fetchval("select code_step from operator")
    next_code = pyotp.TOTP(owner.seed).generate_otp(step + 1)
    recovery = owner.recovery_codes[0]
    for code in (next_code, recovery.upper().replace("-", " ")):
        for accepted in (True, False):
            client = await browse()
            await client.sign_in("ada", PASSWORD)
            page = await client.get("/ops/code")
            answer = await client.post("/ops/code", {"token": page.token, "code": code})
            assert (answer.location == "/ops") is accepted, answer.words
    async with pool.acquire() as conn:
        rows = await operator_actions.list_actions(conn, actor="ada")
    assert [row.action for row in rows].count("operator.signed_in") == 2


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
def test_codes_hold_for_a_step_before_and_after_but_never_again(shift: int) -> None:
    seed, now = _SEED, 1_800_000_000.0
    step = int(now) // 30
    code = pyotp.TOTP(seed).generate_otp(step + shift)
    found = codes.accepted_step(seed, code, now, last=0)
    assert found == (step + shift if abs(shift) < 2 else None)
    assert codes.accepted_step(seed, code, now, last=step + shift) is None


@pytest.mark.parametrize("code", ["", "abcdef", "12345", "١٢٣٤٥٦", "1234567"])
def test_what_is_no_code_is_refused(code: str) -> None:
    assert codes.accepted_step(_SEED, code, 1_800_000_000.0, last=0) is None


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "password1234",
        "Password 1234",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "xyzabcxyzabcxyzabc",
        "deniz-kaya-123",
        "correct horse battery staple",
        "ş" * 37,
        "x1y2z3w4v5u6" * 7,
    ],
)
def test_passwords_that_everybody_tries_or_bcrypt_would_cut_are_refused(password: str) -> None:
    with pytest.raises(BadPassword):
        require_good(password, "deniz-kaya")


@pytest.mark.parametrize("password", [PASSWORD, "tRz8!qmPw0-x", "üç gül şu köşede durur", _LONG])
def test_other_passwords_are_taken_up_to_64_characters(password: str) -> None:
    require_good(password, "deniz")


async def test_passwords_are_kept_at_a_cost_and_no_part_of_one_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    assert passwords.COST >= 10
    kept = await Passwords().hash(_LONG)
    assert kept.startswith(f"$2b${passwords.COST:02}$")
    assert await Passwords().matches(_LONG, kept)
    assert not await Passwords().matches(_LONG[:48], kept)
    assert not await Passwords().matches(_LONG + "and more of it", kept)
    assert not await Passwords().matches("anything", None)
