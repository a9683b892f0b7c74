"""Sessions: how long they live, what ends them, and what the database knows of them."""

from gateway.operators import accounts
from gateway.store.connection import Pool
from schemas.operators import Role
from tests.web.ops.conftest import PASSWORD, WARRANT, SignedIn
from tests.web.ops.test_signing_in import Browse

_SESSION = "__Host-sid"


async def test_the_cookie_is_for_this_host_alone_and_not_for_scripts(
    pool: Pool, browse: Browse
) -> None:
    token = await accounts.create_operator(pool, WARRANT, "ada", Role.VIEWER)
    client = await browse()
    answer = await client.accept(f"{client.url}/ops/welcome/{token}", PASSWORD)
    for name in (_SESSION, "__Host-known"):
        given = answer.given_cookie(name)
        for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert part in given
        assert "Domain" not in given
    assert "Max-Age" not in answer.given_cookie(_SESSION)


async def test_the_database_knows_a_session_by_its_hash_alone(
    pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.OWNER)
    secrets = [client.cookie(_SESSION), client.seed, PASSWORD, *client.recovery_codes]
    tables = [row[0] for row in await pool.fetch("select tablename from pg_tables")]
    ours = [name for name in tables if name.startswith("operator") or name == "secret"]
    assert len(ours) >= 5
    for table in ours:
        for row in await pool.fetch(f"select t::text from {table} t"):
            for secret in secrets:
                assert secret not in row[0]
                assert secret.replace("-", "").encode().hex() not in row[0]


async def test_half_an_hour_without_a_look_or_twelve_hours_end_a_session(
    pool: Pool, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.VIEWER)
    await pool.execute("update operator_session set seen_at = now() - interval '29 minutes'")
    # A page that refreshes itself keeps nothing alive.
    assert (await client.get("/ops", **{"Ops-Refresh": "1"})).status == 200
    seen = await pool.fetchval(
        "select now() - seen_at > interval '28 minutes' from operator_session"
    )
    assert seen is True
    assert (await client.get("/ops")).status == 200
    assert await pool.fetchval("select now() - seen_at < interval '1 minute' from operator_session")
    await pool.execute("update operator_session set seen_at = now() - interval '31 minutes'")
    assert (await client.get("/ops")).location == "/ops/sign-in"
    assert (await client.get("/ops", **{"Ops-Refresh": "1"})).status == 401
    await pool.execute(
        "update operator_session set seen_at = now(), created_at = now() - interval '12 hours'"
    )
    assert (await client.get("/ops")).location == "/ops/sign-in"


async def test_half_a_sign_in_is_over_after_ten_minutes(
    pool: Pool, signed_in: SignedIn, browse: Browse
) -> None:
    await signed_in("ada", Role.OWNER)
    client = await browse()
    await client.sign_in("ada", PASSWORD)
    assert (await client.get("/ops/code")).status == 200
    await pool.execute("update operator_session set created_at = now() - interval '11 minutes'")
    assert (await client.get("/ops/code")).location == "/ops/sign-in"


async def test_a_new_password_ends_all_sessions_and_begins_another(
    signed_in: SignedIn, browse: Browse
) -> None:
    first = await signed_in("ada", Role.VIEWER)
    second = await browse()
    await second.sign_in("ada", PASSWORD)
    assert (await second.get("/ops")).status == 200
    old = first.cookie(_SESSION)
    fields = {"old": "not this one", "new": "another few words", "again": "another few words"}
    await first.submit("/ops/account", "/ops/account/password", **fields)
    assert "present password is another one" in (await first.get("/ops/account")).words
    fields["old"] = PASSWORD
    await first.submit("/ops/account", "/ops/account/password", **fields)
    assert first.cookie(_SESSION) != old
    assert (await first.get("/ops")).status == 200
    assert (await second.get("/ops")).location == "/ops/sign-in"
    thief = await browse()
    assert (await thief.get("/ops", Cookie=f"{_SESSION}={old}")).location == "/ops/sign-in"
    assert (await second.sign_in("ada", PASSWORD)).status == 403
    assert (await second.sign_in("ada", "another few words")).location == "/ops"


async def test_sessions_are_listed_and_ended_one_by_one(
    pool: Pool, signed_in: SignedIn, browse: Browse
) -> None:
    first = await signed_in("ada", Role.VIEWER)
    second = await browse()
    await second.sign_in("ada", PASSWORD)
    stranger = await signed_in("bo", Role.VIEWER)
    numbers = await pool.fetch("select id from operator_session order by id")
    other = numbers[1]["id"]
    # Nobody ends another's session.
    await stranger.submit("/ops/account", f"/ops/account/sessions/{other}/end")
    assert (await second.get("/ops")).status == 200
    await first.submit("/ops/account", f"/ops/account/sessions/{other}/end")
    assert (await second.get("/ops")).location == "/ops/sign-in"
    assert (await first.get("/ops")).status == 200


async def test_another_role_a_lock_and_a_sign_out_take_effect_at_once(
    pool: Pool, signed_in: SignedIn
) -> None:
    owner = await signed_in("ada", Role.OWNER)
    viewer = await signed_in("bo", Role.VIEWER)
    page = await owner.get("/ops/operators")
    fields = {"token": page.token, "request": page.request, "reason": "helps out"}
    await owner.post("/ops/operators/bo", fields | {"role": "support", "enabled": "yes"})
    assert (await viewer.get("/ops")).location == "/ops/sign-in"
    assert (await viewer.sign_in("bo", PASSWORD)).location == "/ops"
    await pool.execute("update operator set enabled = false where name = 'bo'")
    assert (await viewer.get("/ops")).location == "/ops/sign-in"
    cookie = owner.cookie(_SESSION)
    await owner.submit("/ops", "/ops/sign-out")
    assert owner.cookie(_SESSION) == ""
    again = await owner.get("/ops", Cookie=f"{_SESSION}={cookie}")
    assert again.location == "/ops/sign-in"


async def test_the_last_owner_stays(signed_in: SignedIn) -> None:
    owner = await signed_in("ada", Role.OWNER)
    page = await owner.get("/ops/operators")
    fields = {"token": page.token, "request": page.request, "reason": "leaves"}
    await owner.post("/ops/operators/ada", fields | {"role": "viewer", "enabled": "yes"})
    assert "last owner" in (await owner.get("/ops/operators")).words
