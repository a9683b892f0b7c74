"""Orders of the rarer types in the spellings of known clients: sent on as they were meant."""

import pytest

from schemas.services import SERVICE_TYPES
from tests.web.desk import JSON, Desk, Request
from tests.web.test_accepted_adds import buy
from tests.web.test_refused_by_type import order, order_json, service


async def sent(desk: Desk, request: Request) -> dict[str, str]:
    """What reached the upstream for this order, apart from action and service."""
    await buy(desk, request)
    [*_, received] = desk.sandbox.received()
    parameters: dict[str, str] = received["parameters"]
    return {k: v for k, v in parameters.items() if k not in ("action", "service")}


@pytest.mark.parametrize("name", SERVICE_TYPES)
async def test_every_type_is_taken_and_sent_as_it_is(desk: Desk, name: str) -> None:
    """What does not belong to the type is ignored."""
    request = order(name, note="x", custom="1", ref="y", orders="7")
    assert await sent(desk, request) == SERVICE_TYPES[name].example


LISTS = [
    ("Mentions", {"usernames": "a, b ,c"}, {"usernames": "a\nb\nc"}),
    ("Mentions", {"usernames": "a\\nb"}, {"usernames": "a\nb"}),
    ("Mentions", {"usernames": "a, b\r\nc"}, {"usernames": "a, b\nc"}),
    ("Mentions", {"usernames": None, "mentions": "a\nb"}, {"usernames": "a\nb"}),
    ("Mentions", {"usernames": None, "Usernames[]": ["a", "b"]}, {"usernames": "a\nb"}),
    (
        "Mentions with Hashtags",
        {"hashtags": None, "mentions_hashtags": "#goodphoto"},
        {"hashtags": "#goodphoto"},
    ),
    (
        "Mentions Custom List",
        {"usernames": None, "mentions_custom": "a,b,c,d,e"},
        {"usernames": "a\nb\nc\nd\ne"},
    ),
    ("SEO", {"keywords": "cheap flights,holiday"}, {"keywords": "cheap flights\nholiday"}),
    (
        "Invites from Groups",
        {"groups": "https://t.me/a?utm_source=b,https://t.me/c"},
        {"groups": "https://t.me/a\nhttps://t.me/c"},
    ),
    ("Poll", {"answer_number": None, "poll": "3"}, {"answer_number": "3"}),
    (
        "Mentions Media Likers",
        {"media": "https://www.instagram.com/p/C1/?igsh=x"},
        {"media": "https://www.instagram.com/p/C1/"},
    ),
    ("Subscriptions", {"min": "100.0", "posts": " 3 "}, {"min": "100", "posts": "3"}),
    ("Subscriptions", {"posts": "0", "old_posts": "2"}, {"posts": "0", "old_posts": "2"}),
    ("Subscriptions", {"expiry": "12/31/2099"}, {"expiry": "31/12/2099"}),
    ("Subscriptions", {"expiry": "2099-2-1"}, {"expiry": "01/02/2099"}),
    ("Subscriptions", {"expiry": "", "link": "x", "quantity": "7"}, {}),
    ("Web Traffic", {"type_of_traffic": "3", "google_keyword": "undefined"}, {}),
    ("Web Traffic", {"link": "https://shop.example/?utm_source=me&gclid=1"}, {}),
    ("Default", {"runs": "1", "interval": "30"}, {}),
    ("Default", {"runs": "1"}, {}),
    ("Default", {"interval": "0"}, {}),
    ("Default", {"runs": "0", "intervals": "abc"}, {}),
    ("Default", {"max_charge": "0.90"}, {}),
]


@pytest.mark.parametrize(("name", "changed", "expected"), LISTS)
async def test_values_are_read_as_clients_write_them(
    desk: Desk, name: str, changed: dict[str, str | list[str] | None], expected: dict[str, str]
) -> None:
    took = {p.name for p in SERVICE_TYPES[name].parameters}
    wanted = SERVICE_TYPES[name].example
    wanted |= {k: v for k, v in changed.items() if k in took and isinstance(v, str) and v}
    for gone in ("google_keyword",) if changed.get("google_keyword") == "undefined" else ():
        wanted.pop(gone)
    assert await sent(desk, order(name, **changed)) == wanted | expected


async def test_lists_may_be_arrays_in_json(desk: Desk) -> None:
    got = await sent(desk, order_json("Mentions", "usernames", '["a","b"]'))
    assert got["usernames"] == "a\nb"


async def test_a_link_is_sent_without_what_only_tracks(desk: Desk) -> None:
    link = "https://www.instagram.com/p/C1/?img_index=2&igsh=abc&utm_source=x"
    got = await sent(desk, order("Default", link=link))
    assert got["link"] == "https://www.instagram.com/p/C1/?img_index=2"
    row = await desk.pool.fetchrow("select link from orders order by id desc limit 1")
    assert row is not None
    assert row["link"] == got["link"]


async def test_numbers_may_be_json_numbers(desk: Desk) -> None:
    fields = '"username":"a","min":100,"max":200,"posts":2,"delay":30'
    body = f'{{"key":"$KEY","action":"add","service":{service("Subscriptions")},{fields}}}'
    accepted, paid = await buy(desk, Request(body, headers=JSON))
    assert (accepted["link"], paid) == ("a", 900 * 400)
