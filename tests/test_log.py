"""Logs: JSON lines in which no secret appears, whoever logs and whatever is logged."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.log import BURST, PER_SECOND, Floodgate, about, add_ids, mask_secrets
from gateway.redaction import MASK, hold, mask
from gateway.resellers.keys import new_key
from tests.architecture import PACKAGES, ROOT, Module, modules_of


def masked(**event: Any) -> dict[str, Any]:
    """What becomes of a line."""
    return dict(mask_secrets(None, "info", event))


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "api_key",
        "apikey",
        "Password",
        "PEPPER",
        "Authorization",
        "cookie",
        "token",
        "secret",
    ],
)
def test_a_field_with_a_secret_name_is_masked(name: str) -> None:
    assert masked(**{name: "visible"}) == {name: MASK}
    assert masked(request={"deep": [{name: "visible"}]}) == {"request": {"deep": [{name: MASK}]}}


def test_our_keys_are_masked_in_any_text() -> None:
    key = new_key()
    line = masked(event=f"got {key}", link=f"https://a.example/?x={key}", parts=[(key,)])
    assert key[4:] not in json.dumps(line)
    assert "https://a.example/" in line["link"]


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://smm:hunter22@localhost:5432/db",
        "redis://:hunter22@localhost:6379/0",
        "action=add&key=hunter22&link=x",
        "?api_key=hunter22",
        "token=hunter22 and more",
        "PASSWORD=hunter22",
    ],
)
def test_a_secret_is_masked_by_its_place_in_a_text(text: str) -> None:
    assert "hunter22" not in mask(text)
    assert MASK in mask(text)


def test_a_text_of_many_beginnings_of_urls_is_read_in_little_time() -> None:
    text = "://:" * 16_384
    assert mask(text) == text
    password = "p" * 200
    assert mask(f"smtp://{'u' * 200}:{password}@mail") == f"smtp://{'u' * 200}:{MASK}@mail"


def test_the_error_of_an_exception_is_masked_too() -> None:
    assert "hunter22" not in str(masked(exception="OSError: redis://:hunter22@localhost"))


@pytest.mark.parametrize(
    "event",
    [
        {"event": "order.moved", "order_id": 7, "refund": 12},
        {"order_id": [1, 2, 3], "request_id": ["a-1", "a-2"]},
        {"link": "https://example.com/p?monkey=1&keyboard=2"},
        {"reason": "Not enough funds on balance", "ms": 1.5, "ok": True, "none": None},
    ],
)
def test_what_is_no_secret_stays_as_it_is(event: dict[str, Any]) -> None:
    assert masked(**event) == event


_PROGRAM = """
import logging, structlog
from gateway.log import configure_logging
from schemas.config import LogFormat
configure_logging("info", LogFormat.{form})
log = structlog.get_logger()
log.debug("order.hidden")
log.info("order.moved", order_id=7, request_id="r-1", key="hunter22", note="line\\nbreak")
try:
    raise OSError("redis://:hunter22@localhost is gone")
except OSError:
    log.exception("wakeups.lost")
logging.getLogger("library").warning("password=%s", "hunter22")
logging.getLogger("library").info("chatter")
"""


def _output(form: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(form=form)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert "hunter22" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("form", ["JSON", "AUTO"])
def test_each_line_is_one_json_object_without_secrets(form: str) -> None:
    moved, lost, library = map(json.loads, _output(form).splitlines())
    assert (moved["event"], moved["order_id"], moved["request_id"]) == ("order.moved", 7, "r-1")
    assert (moved["level"], moved["note"], moved["key"]) == ("info", "line\nbreak", MASK)
    assert moved["timestamp"].endswith("Z")
    assert lost["level"] == "error"
    assert "OSError" in lost["exception"]
    assert library["level"] == "warning"


def test_text_for_people_has_no_secrets_either() -> None:
    assert "order.moved" in _output("TEXT")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter22-hunter22",
        "sent with bearer hunter22hunter22",
        "Set-Cookie: session=hunter22; Path=/",
        '{"action": "add", "api_key": "hunter22"}',
        "{'password': 'hunter22'}",
        "X-Webhook-Signature=hunter22",
    ],
)
def test_a_secret_is_masked_by_the_usual_places_of_a_request(text: str) -> None:
    assert "hunter22" not in mask(text)


def test_numbers_of_cards_are_masked_and_ids_are_not() -> None:
    for card in (
        "4242424242424242",
        "4242 4242 4242 4242",
        "378282246310005",
        "5555-5555-5555-4444",
    ):
        assert mask(f"paid with {card}.") == f"paid with {MASK}."
    for number in ("4242424242424243", "1234567890123456789", "2026-11-22 10:11:12", "17"):
        assert mask(f"order {number}") == f"order {number}"


def test_what_a_process_holds_is_masked_word_for_word_and_escaped() -> None:
    hold('held "secret" of/this process')
    for text in (
        'held "secret" of/this process',
        'held \\"secret\\" of/this process',
        "held%20%22secret%22%20of%2Fthis%20process",
        "held+%22secret%22+of%2Fthis+process",
    ):
        assert mask(f"before {text} after") == f"before {MASK} after"
    hold("abc")
    assert mask("abcdef") == "abcdef"


def test_lines_carry_the_ids_of_what_is_done_and_only_then() -> None:
    with about(order_id=7, request_id="r-1"):
        with about(attempt=2, order_id=8):
            inner = add_ids(None, "info", {"event": "a.b", "request_id": "own"})
        outer = add_ids(None, "info", {"event": "a.b"})
    assert inner == {"event": "a.b", "order_id": 8, "request_id": "own", "attempt": 2}
    assert outer == {"event": "a.b", "order_id": 7, "request_id": "r-1"}
    assert add_ids(None, "info", {"event": "a.b"}) == {"event": "a.b"}


def test_a_hundred_thousand_errors_of_one_name_are_a_bounded_number_of_lines() -> None:
    now = [0.0]
    gate = Floodgate(lambda: now[0])
    passed: list[int] = []
    for _ in range(100_000):
        now[0] += 0.001
        if (kept_back := gate.let("request.failed")) is not None:
            passed.append(kept_back)
    assert len(passed) <= BURST + 100 * PER_SECOND + 1
    now[0] += 10
    last = gate.let("request.failed")
    assert last is not None
    assert sum(passed) + last + len(passed) == 100_000
    # Another name is not concerned; nor are names without end a leak of memory.
    assert gate.let("loop.failed") == 0
    for number in range(5_000):
        gate.let(str(number))
    assert len(gate._buckets) <= 1_000


_HOSTILE = """
import logging, structlog
from gateway.log import configure_logging
from schemas.config import LogFormat
configure_logging("info", LogFormat.{form})
bad = "\\x1b[2J\\r\\nforged line\\u202e\\u2028\\x9b\\x00"
structlog.get_logger().info("order.moved", link=bad, deep=[bad])
for _ in range(3_000):
    structlog.get_logger().error("request.failed")
    logging.getLogger("aiohttp.server").error("Error handling request from %s", bad)
"""


@pytest.mark.parametrize("form", ["JSON", "TEXT"])
def test_nobody_paints_on_a_terminal_forges_a_line_or_floods_the_log(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HOSTILE.format(form=form)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    text = done.stderr.decode()
    ours = text.replace("\x1b[0m", "")
    for control in ("\x1b[2J", "\r", "\u202e", "\u2028", "\x9b", "\x00"):
        assert control not in ours, repr(control)
    lines = text.splitlines()
    assert not any(line.startswith("forged") for line in lines)
    assert BURST < len(lines) < 2 * BURST + 600
    assert json.loads(lines[0])["link"].startswith("\x1b") if form == "JSON" else True


_EVENT = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")
_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def _constants(tree: ast.AST, name: str) -> list[str] | None:
    """The texts that a variable is given anywhere in a module; None where it is given others."""
    found: list[str] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for variable, value in zip(names, values, strict=False):
                if isinstance(variable, ast.Name) and variable.id == name:
                    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
                        return None
                    found.append(value.value)
    return found or None


def _is_level(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _LEVELS
        and isinstance(node.value, ast.Name)
        and node.value.id == "log"
    )


def _events(module: Module) -> Iterator[tuple[int, list[str] | None]]:
    """Line and event names of every call of the logger, also by a variable that is one level."""
    aliases = {
        target.id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign) and any(map(_is_level, ast.walk(node.value)))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        alias = isinstance(node.func, ast.Name) and node.func.id in aliases
        if not alias and not _is_level(node.func):
            continue
        event = node.args[0]
        if isinstance(event, ast.Constant) and isinstance(event.value, str):
            yield node.lineno, [event.value]
        else:
            name = event.id if isinstance(event, ast.Name) else ""
            yield node.lineno, _constants(module.tree, name)


def test_events_are_constant_dotted_names() -> None:
    found = 0
    for module in modules_of(ROOT, *PACKAGES):
        for line, events in _events(module):
            found += 1
            assert events is not None, f"{module.name}:{line} logs an event that is no constant"
            for event in events:
                assert _EVENT.fullmatch(event), f"{module.name}:{line}: {event}"
    assert found > 80


@pytest.mark.parametrize(
    "text", ['log.info(f"order.{x}")', "log.error(str(x))", 'e = f"a.{x}"\nlog.error(e)']
)
def test_an_event_that_is_no_constant_is_seen(text: str) -> None:
    assert [events for _, events in _events(Module("gateway.x", text))] == [None]
