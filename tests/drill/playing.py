"""Plays scenarios: break, wait for the alert, do what the runbook says, wait until it is over."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from tests.drill.scenarios import Scenario
from tests.drill.stage import Drill

#: One scenario that fails must not keep the others from being played.
_TROUBLE = (TimeoutError, RuntimeError, AssertionError, LookupError, OSError, asyncpg.PostgresError)
_LINE = "{:34}{:20}{:>10}{:>10}  {}"
#: Called while an alert fires, to look elsewhere for its cause; what it raises fails the scenario.
Witness: TypeAlias = Callable[[Drill, Scenario], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Played:
    """How a scenario went: seconds to the alert, and from the steps to its end."""

    scenario: Scenario
    fired: float | None
    over: float | None
    trouble: str = ""

    @property
    def well(self) -> bool:
        """Whether the alert came and went."""
        return not self.trouble


async def play(
    drill: Drill, scenario: Scenario, patience: float, witnesses: tuple[Witness, ...] = ()
) -> Played:
    """Play one scenario; each wait lasts ``patience`` seconds at most."""
    if scenario.alert in await drill.prometheus.firing():
        return Played(scenario, None, None, "it fires before anything is wrong")
    fired: float | None = None
    began = time.monotonic()
    trouble = ""
    try:
        await scenario.breaks(drill)
        await drill.wait_firing(scenario.alert, patience)
        fired = time.monotonic() - began
        for witness in witnesses:
            await witness(drill, scenario)
    except _TROUBLE as error:
        trouble = f"{type(error).__name__} before the steps: {error}"
    began = time.monotonic()
    try:
        await scenario.mends(drill)
        await drill.wait_over(scenario.alert, patience)
    except _TROUBLE as error:
        trouble = trouble or f"{type(error).__name__} after the steps: {error}"
    return Played(scenario, fired, time.monotonic() - began, trouble)


def line(one: Played) -> str:
    """How one scenario went, for people."""
    times = [f"{s:.0f} s" if s is not None else "never" for s in (one.fired, one.over)]
    scenario = one.scenario
    return _LINE.format(scenario.name, scenario.alert, *times, one.trouble.strip() or "ok")


def table(played: list[Played]) -> str:
    """The result for people."""
    return "\n".join(
        [_LINE.format("what went wrong", "alert", "fired", "over", ""), *map(line, played)]
    )
