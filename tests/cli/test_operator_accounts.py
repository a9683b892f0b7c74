"""``operator``: accounts at the command line, from the first owner on."""

from urllib.parse import urlsplit

import pytest

from gateway.cli.operator_accounts import welcome_link
from gateway.config import load_settings
from gateway.operators.sessions import hash_of
from gateway.store import operators
from gateway.store.connection import Pool
from tests.cli.command import Command


@pytest.mark.parametrize(
    ("ops", "link"),
    [
        (
            {"host": "0.0.0.0", "port": 8801, "url": "https://ops.example.com"},
            "https://ops.example.com/ops/welcome/x",
        ),
        ({"port": 8801, "development": True}, "http://127.0.0.1:8801/ops/welcome/x"),
        ({"host": "0.0.0.0"}, "/ops/welcome/x"),
    ],
)
def test_a_welcome_link_is_never_plain_http_but_in_development(
    ops: dict[str, object], link: str
) -> None:
    assert welcome_link(load_settings(ops=ops), "x") == link


async def test_the_first_owner_is_made_with_a_link_that_is_shown_once(
    command: Command, pool: Pool
) -> None:
    made = await command.json("operator", "create", "ada", "--role", "owner")
    path = urlsplit(made["link"]).path
    assert path.startswith("/ops/welcome/")
    async with pool.acquire() as conn:
        welcomed = await operators.get_welcomed(conn, hash_of(path.rpartition("/")[2]))
    assert welcomed is not None
    assert (welcomed.name, welcomed.role) == ("ada", "owner")
    [row] = await command.json("operator", "list")
    assert (row["name"], row["enabled"], row["password"]) == ("ada", True, False)
    [logged] = await command.json("operator", "log")
    assert (logged["action"], logged["subject"]) == ("operator.created", "operator ada")
    assert path.rpartition("/")[2] not in str(logged)


async def test_accounts_are_changed_reset_and_signed_out(command: Command) -> None:
    await command.json("operator", "create", "ada", "--role", "owner")
    await command.json("operator", "create", "bo", "--role", "viewer")
    changed = await command.json("operator", "set", "bo", "--role", "manager", "--disable")
    assert (changed["role"], changed["enabled"]) == ("manager", False)
    assert (await command.json("operator", "set", "bo", "--enable"))["enabled"] is True
    link = (await command.json("operator", "reset-password", "bo", "--second-factor"))["link"]
    assert link != (await command.json("operator", "reset-password", "bo"))["link"]
    assert (await command.json("operator", "end-sessions", "bo"))["ended"] == 0


async def test_mistakes_with_operators_are_one_line(command: Command) -> None:
    await command.json("operator", "create", "ada", "--role", "owner")
    complaints = {
        ("create", "ada", "--role", "viewer"): "already",
        ("create", "Ada Lovelace", "--role", "viewer"): "small letters",
        ("set", "ada"): "--role",
        ("set", "ada", "--disable"): "last owner",
        ("set", "nobody", "--role", "viewer"): "no operator nobody",
        ("reset-password", "nobody"): "no operator nobody",
        ("end-sessions", "nobody"): "no operator nobody",
    }
    for words, complaint in complaints.items():
        assert complaint in (await command.run("operator", *words)).complaint
