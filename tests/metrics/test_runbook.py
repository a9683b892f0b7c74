"""The runbook tells to run commands that there are."""

import re

import pytest

from gateway.cli import parser
from tests.metrics.shipped import RUNBOOK

_COMMAND = re.compile(r"`smm-gateway\s+([^`]+)`")


def _commands() -> list[tuple[str, ...]]:
    text = RUNBOOK.read_text(encoding="utf-8")
    found = {tuple(command.split()) for command in _COMMAND.findall(text)}
    return sorted(found)


def test_commands_are_found() -> None:
    assert len(_commands()) > 20


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_a_command_of_the_runbook_is_one(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """What stands for a value is left as it is; only names of commands and flags are looked at."""
    words = [word for word in command if re.fullmatch(r"[a-z-]+", word)]
    with pytest.raises(SystemExit) as end:
        parser().parse_args([*words[:2], "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for flag in (word for word in command if word.startswith("--")):
        assert flag in told, flag
