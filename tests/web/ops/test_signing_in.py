"""Signing in, step by step, and what each step is worth."""

from schemas.operators import Role
from tests.web.ops.conftest import SignedIn


async def test_an_owner_comes_in_by_the_link_a_password_and_a_second_factor(
    signed_in: SignedIn,
) -> None:
    client = await signed_in("ada", Role.OWNER)
    page = await client.get("/ops")
    assert page.status == 200
    assert "Overview" in page.words
    for path in ("/ops/account", "/ops/operators", "/ops/log"):
        page = await client.get(path)
        assert page.status == 200, page.words
