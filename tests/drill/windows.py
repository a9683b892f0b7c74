"""The shipped rules with short windows: what takes hours in earnest takes seconds in a drill.

Only numbers of time become smaller; what is asked stays as shipped. The real windows are proved by
``tests/metrics/test_rules.py``.
"""

import copy
import re
from typing import Any

from tests.metrics.shipped import RULES, read_rules, rules_of

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RANGE = re.compile(r"\[(\d+)([smhd])\]")
_TIME = re.compile(r"(\d+)([smhd])")
#: An age in seconds that an alert compares with; what is below counts something else.
_AGE = re.compile(r"(?<=> )(\d{3,})\b")
_SHORTEST_WINDOW, _LONGEST_WINDOW = 6, 20
_LONGEST_WAIT = 3


def short_rules() -> dict[str, Any]:
    """The files of rules by name."""
    found = {name: copy.deepcopy(read_rules(name)) for name in RULES}
    for document in found.values():
        for rule in rules_of(document):
            rule["expr"] = _AGE.sub(_short_age, _RANGE.sub(_short_range, rule["expr"]))
            if "for" in rule:
                rule["for"] = f"{min(_LONGEST_WAIT, _seconds(rule['for']))}s"
    return found


def _seconds(text: str) -> int:
    found = _TIME.fullmatch(text)
    assert found is not None, text
    return int(found[1]) * _UNITS[found[2]]


def _short_range(found: re.Match[str]) -> str:
    seconds = int(found[1]) * _UNITS[found[2]] // 60
    return f"[{min(max(seconds, _SHORTEST_WINDOW), _LONGEST_WINDOW)}s]"


def _short_age(found: re.Match[str]) -> str:
    return str(max(5, int(found[1]) // 240))
