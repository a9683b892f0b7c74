"""What is typed into fields: numbers of every length and script."""

from urllib.parse import quote

import pytest

from gateway.errors import UserError
from gateway.web.ops.fields import number_of
from gateway.web.ops.forms import Form
from gateway.web.ops.order_fields import filter_of
from schemas.operators import Role
from tests.web.ops.conftest import SignedIn

_NONE = ("000000000001999999999999", "0" * 40 + "7", "9" * 5_000, "2147483648", "٣", "1e3", "-1")


@pytest.mark.parametrize("text", _NONE)
def test_what_is_no_number_of_the_database_is_a_name_or_refused(text: str) -> None:
    with pytest.raises(UserError):
        number_of(Form({"page": [text]}), "page", "Page")
    wanted, _ = filter_of(Form({"q": [text]}), by_provider=True)
    assert (wanted.order_ids, wanted.external_id) == (None, text)


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("007", 7), ("2147483647", 2**31 - 1)])
def test_a_number_is_read_whole(text: str, number: int) -> None:
    assert number_of(Form({"page": [text]}), "page", "Page") == number
    assert filter_of(Form({"q": [text]}), by_provider=True)[0].order_ids == (number,)


async def test_a_long_number_finds_nothing_and_breaks_nothing(signed_in: SignedIn) -> None:
    client = await signed_in("ada", Role.VIEWER)
    for text in map(quote, _NONE):
        for path in (f"/ops/orders?q={text}", f"/ops/services?page={text}"):
            assert (await client.get(path)).status in (200, 422), path
