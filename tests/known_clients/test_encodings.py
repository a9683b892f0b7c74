"""Every way in which known clients put a call on the wire reaches the same answer."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.known_clients.till import FORM, Till

Fields: TypeAlias = dict[str, str]
Way: TypeAlias = Callable[[Till, Fields], Awaitable[str]]


async def _form(till: Till, fields: Fields) -> str:
    return await till.send("POST", body=urlencode(fields), headers={"Content-Type": FORM})


async def _form_with_charset(till: Till, fields: Fields) -> str:
    headers = {"Content-Type": f"{FORM};charset=UTF-8"}
    return await till.send("POST", body=urlencode(fields), headers=headers)


async def _form_without_type(till: Till, fields: Fields) -> str:
    return await till.send("POST", body=urlencode(fields))


async def _query_of_get(till: Till, fields: Fields) -> str:
    return await till.send("GET", query=urlencode(fields))


async def _query_of_empty_post(till: Till, fields: Fields) -> str:
    return await till.send("POST", query=urlencode(fields))


async def _json(till: Till, fields: Fields) -> str:
    headers = {"Content-Type": "application/json"}
    return await till.send("POST", body=json.dumps(fields), headers=headers)


async def _json_called_form(till: Till, fields: Fields) -> str:
    return await till.send("POST", body=json.dumps(fields), headers={"Content-Type": FORM})


async def _multipart(till: Till, fields: Fields) -> str:
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        data.add_field(name, value)
    return await till.send("POST", body=data)


async def _continued(till: Till, fields: Fields) -> str:
    headers = {"Content-Type": FORM, "Expect": "100-continue"}
    return await till.send("POST", body=urlencode(fields), headers=headers)


def _key_named(name: str) -> Way:
    async def way(till: Till, fields: Fields) -> str:
        renamed = {name if field == "key" else field: value for field, value in fields.items()}
        return await _form(till, renamed)

    return way


def _key_in_header(header: str, prefix: str = "") -> Way:
    async def way(till: Till, fields: Fields) -> str:
        headers = {"Content-Type": FORM, header: prefix + till.key}
        keyless = {name: value for name, value in fields.items() if name != "key"}
        return await till.send("POST", body=urlencode(keyless), headers=headers)

    return way


def _path(path: str) -> Way:
    async def way(till: Till, fields: Fields) -> str:
        headers = {"Content-Type": FORM}
        return await till.send("POST", body=urlencode(fields), path=path, headers=headers)

    return way


def _agent(name: str) -> Way:
    async def way(till: Till, fields: Fields) -> str:
        headers = {"Content-Type": FORM, "User-Agent": name, "Accept": "text/html"}
        return await till.send("POST", body=urlencode(fields), headers=headers)

    return way


async def _capitals(till: Till, fields: Fields) -> str:
    loud = {name.upper(): value for name, value in fields.items()}
    return await _form(till, loud | {"ACTION": f" {fields['action'].upper()} "})


async def _with_strangers(till: Till, fields: Fields) -> str:
    strange = {"is_test": "0", "note": "x", "ref": "", "offset": "0", "custom": "1"}
    return await _form(till, fields | strange)


WAYS: dict[str, Way] = {
    "form": _form,
    "form with a charset": _form_with_charset,
    "form without a type": _form_without_type,
    "GET": _query_of_get,
    "empty POST with a query": _query_of_empty_post,
    "JSON": _json,
    "JSON that calls itself a form": _json_called_form,
    "multipart": _multipart,
    "100-continue": _continued,
    "key as api": _key_named("api"),
    "key as api_key": _key_named("api_key"),
    "key as api_token": _key_named("api_token"),
    "key in X-API-Key": _key_in_header("X-API-Key"),
    "key as bearer": _key_in_header("Authorization", "Bearer "),
    "trailing slash": _path("/api/v2/"),
    "script name": _path("/api/v2.php"),
    "index of a folder": _path("/api/v2/index.php"),
    "old agent": _agent("API (compatible; MSIE 5.01; Windows NT 5.0)"),
    "Python agent": _agent("python-requests/2.31.0"),
    "capital letters and blanks": _capitals,
    "unknown parameters": _with_strangers,
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_action_is_answered_alike_however_it_is_sent(till: Till, way: str) -> None:
    """A number for an order, and the same bytes as a plain form gets for all that reads."""
    key, link = till.key, f"https://a.example/{way.replace(' ', '-')}"
    wanted = {"key": key, "action": "add", "service": str(till.services["101"]), "link": link}
    placed: dict[str, Any] = json.loads(await WAYS[way](till, wanted | {"quantity": "100"}))
    assert set(placed) == {"order"}, placed
    order = str(placed["order"])
    await till.placed(placed["order"])
    for fields in (
        {"action": "balance"},
        {"action": "services"},
        {"action": "status", "order": order},
        {"action": "status", "orders": f"{order},1000000"},
        {"action": "refill", "order": order},
        {"action": "refill", "orders": order},
        {"action": "refill_status", "refill": "1000000"},
        {"action": "cancel", "orders": "1000000"},
        {"action": "nonsense"},
    ):
        call = {"key": key} | fields
        assert await WAYS[way](till, call) == await _form(till, call), fields
