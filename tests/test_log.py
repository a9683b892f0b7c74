"""Logs: JSON lines in which no secret appears, whoever logs and whatever is logged."""

import json
import subprocess
import sys
from typing import Any

import pytest

from gateway.log import MASK, mask, mask_secrets
from gateway.resellers.keys import new_key
from tests.architecture import ROOT


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
