"""What the source keeps to: no secret in it, no statement made of values, no test lost."""

import ast
import math
import re
import subprocess
from collections import Counter
from collections.abc import Iterator

from tests.architecture import PACKAGES, ROOT, Module, modules_of

_CALLS = {"execute", "executemany", "fetch", "fetchrow", "fetchval"}
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")

#: What real secrets look like.
_SHAPES = [
    re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n[A-Za-z0-9+/=\n]{64}"),
    re.compile(r"\bsmm_[0-9A-Za-z]{46}\b"),
    re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(r"\bgh[pousr]_[0-9A-Za-z]{36}\b"),
    re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{20}"),
    re.compile(r"\b\d{8,10}:[0-9A-Za-z_-]{35}\b"),
    re.compile(r"\bsk_live_[0-9A-Za-z]{16}"),
]
_ASSIGNED = re.compile(
    r"(?i)(?:password|secret|token|api_key|pepper|master_keys?)[\"']?\s*[:=]\s*[\"']?"
    r"([0-9A-Za-z+/=_-]{24,})"
)
_MOST_BITS = 4.3


def _files() -> Iterator[tuple[str, str]]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in done.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def _bits(text: str) -> float:
    """The entropy of a text, in bits for each character: random ones have the most."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def _secrets_in(text: str) -> list[str]:
    found = [match.group()[:12] for shape in _SHAPES for match in shape.finditer(text)]
    words = (match.group(1) for match in _ASSIGNED.finditer(text))
    return found + [word[:12] for word in words if _bits(word) > _MOST_BITS]


def test_the_repository_holds_no_secret() -> None:
    found = {name: secrets for name, text in _files() if (secrets := _secrets_in(text))}
    assert not found


def test_a_secret_would_be_found() -> None:
    key = "smm_" + "aB3dE6gH9j" * 4 + "kLmN0p"
    bot = "123456789" + ":" + "Ab1-" * 8 + "xyz"
    for text in (key, bot, 'pepper: "' + "q8Zr2Lw9Xc4V" + 'b7Nm1As6Df3Gh5Jk0PoI"'):
        assert _secrets_in(f"x = {text}")


def _made_of_values(module: Module) -> Iterator[str]:
    """Statements that are put together from anything but constants of their own module."""
    constants = {
        target.id
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr not in _CALLS or not node.args:
            continue
        statement = node.args[0]
        if isinstance(statement, ast.JoinedStr):
            for part in statement.values:
                if isinstance(part, ast.FormattedValue) and not (
                    isinstance(part.value, ast.Name) and part.value.id in constants
                ):
                    yield f"{module.name}:{node.lineno}"
        elif isinstance(statement, ast.BinOp) or (
            isinstance(statement, ast.Call)
            and isinstance(statement.func, ast.Attribute)
            and statement.func.attr == "format"
        ):
            yield f"{module.name}:{node.lineno}"


#: Where names that the code or the database fixed stand in a statement, never a client's value.
_OURS = {
    "gateway.store.connection": "the isolation level that the code names",
    "gateway.store.copying": "a table's name, quoted",
    "gateway.store.ranges": "a digest that the code names",
    "gateway.store.order_search": "conditions of a fixed table, with places for their values",
    "gateway.store.reports": "columns of a fixed table",
    "gateway.store.provider_pulse": "a bound on order ids that the store names",
}


def test_no_statement_is_made_of_values() -> None:
    found = [place for m in modules_of(ROOT, *PACKAGES) for place in _made_of_values(m)]
    assert [place for place in found if place.partition(":")[0] not in _OURS] == []


def test_a_statement_made_of_values_is_seen() -> None:
    for text in ('f"select {x}"', '"select " + x', '"select {}".format(x)'):
        module = Module("gateway.store.x", f"async def f(conn, x):\n    await conn.fetch({text})")
        assert list(_made_of_values(module)), text


def test_every_test_that_the_document_names_exists() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = _NAMED.findall(text)
    assert len(named) > 30
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {test}\(", source, re.MULTILINE), f"{file}::{test}"
    rows = set(re.findall(r"^\| (S\d\d) \|", text, re.MULTILINE))
    wanted = "01 02 04 05 06 07 08 14 15 18 19 20 21 23 24 25 26 27 33 34 36 37 39 40 45"
    assert {f"S{number}" for number in wanted.split()} <= rows
