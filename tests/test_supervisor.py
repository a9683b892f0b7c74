"""The supervisor without a program to start: a clear end, not a place that stays empty unseen."""

import sys

import pytest

from gateway.errors import UserError
from gateway.supervision.supervisor import Supervisor


async def test_a_worker_that_cannot_be_started_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    supervisor = Supervisor(1, [], None, 1.0)
    with pytest.raises(UserError, match="worker 1 cannot be started: No such file"):
        await supervisor.start()
    await supervisor.stop()
