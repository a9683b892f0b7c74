"""The house rules as functions over syntax trees: what a file may import, say and contain.

A rule takes a module and yields what breaks it, in words that begin with the line. The modules are
parsed, never imported.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("schemas", "providers", "gateway")

#: Who may import what inside the gateway. A module is judged by the longest name that fits.
_EDGES = frozenset({"web", "workers", "cli"})
_USE_CASES = frozenset(
    {"orders", "catalogue", "money", "resellers", "backups", "operators", "alerts", "reports"}
    | {"doctor"}
)

_SQL_CALLS = frozenset({"execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_to_table"})
_SQL_TEXT = re.compile(
    r"\s*(with \w+ as \(|select\s.+\sfrom\s|select \d|select \w+\("
    r"|insert into \w|update \w+\s+set\s|delete from \w"
    r"|create (table|index|unique index|trigger|function|view|database) \w"
    r"|alter (table|role|database) \w|drop (table|database) \w|begin isolation)",
    re.IGNORECASE | re.DOTALL,
)
_STORE_NAMES = re.compile(
    r"(get|list|insert|set|delete|claim|lock|debit|credit|count|lease|make)_\w+|_\w+|columns"
)
#: What makes a module's answers depend on anything but its arguments.
_IMPURE = frozenset(
    {"aiohttp", "asyncio", "asyncpg", "os", "random", "redis", "secrets", "socket", "subprocess"}
    | {"threading", "time", "urllib.request", "uuid"}
)

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name and its text."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.text)

    def inside(self, *packages: str) -> bool:
        """Whether the module is one of these packages or modules, or within one."""
        return any(self.name == p or self.name.startswith(f"{p}.") for p in packages)

    @cached_property
    def documentation(self) -> set[ast.AST]:
        """String statements, which are documentation wherever they stand."""
        return {node.value for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Line and full dotted name of all that is imported, wherever in the file.

        ``from a import b`` counts as ``a.b``, because ``b`` may be a module.
        """
        found: list[tuple[int, str]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        return found


Rule = Callable[[Module], Iterator[str]]


def modules_of(root: Path, *packages: str) -> list[Module]:
    """All modules of these packages, by name."""
    found = []
    for package in packages:
        for file in sorted((root / package).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            found.append(Module(name, file.read_text(encoding="utf-8")))
    return found


def _within(name: str, *packages: str) -> bool:
    return any(name == p or name.startswith(f"{p}.") for p in packages)


def _layer(name: str) -> int | None:
    """How high a module of the gateway stands; None for names from elsewhere.

    3 is the composition root, 2 an edge, 1 a use case, 0 the store and everything pure.
    """
    parts = name.split(".")
    if parts[0] != "gateway":
        return None
    part = parts[1] if len(parts) > 1 else ""
    if part in ("app", "__main__"):
        return 3
    return 2 if part in _EDGES else 1 if part in _USE_CASES else 0


def imports_point_down(module: Module) -> Iterator[str]:
    """``schemas`` ◀ ``providers`` ◀ ``gateway``; inside, edges ▸ use cases ▸ store; never up."""
    allowed = {
        "schemas": ("schemas",),
        "providers": ("schemas", "providers"),
        "gateway": PACKAGES,
    }[module.name.split(".")[0]]
    for line, name in module.imports:
        ours = _within(name, *PACKAGES, "tests")
        if name.startswith("."):
            yield f"{line}: a relative import hides where {name} comes from"
        elif ours and not _within(name, *allowed):
            yield f"{line}: {module.name} imports {name}"
        elif module.inside("gateway") and not _may_import(module.name, name):
            yield f"{line}: {module.name} imports upward: {name}"


def _may_import(importer: str, name: str) -> bool:
    above, own = _layer(name), _layer(importer)
    if above is None or own is None:
        return True
    if _within(importer, "gateway.store"):
        return _within(name, "gateway.store")
    # The commands start the composition root; nothing else knows it.
    return above <= own or (_within(importer, "gateway.cli") and _within(name, "gateway.app"))


def schemas_are_pure(module: Module) -> Iterator[str]:
    """The vocabulary has no I/O, no clock and no randomness."""
    if not module.inside("schemas"):
        return
    for line, name in module.imports:
        if _within(name, *_IMPURE):
            yield f"{line}: the vocabulary imports {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _called(node) in ("now", "utcnow", "today", "open"):
            yield f"{node.lineno}: the vocabulary calls {_called(node)}()"
        elif isinstance(node, ast.AsyncFunctionDef):
            yield f"{node.lineno}: the vocabulary waits in {node.name}"


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def sql_stays_in_store(module: Module) -> Iterator[str]:
    """SQL is written and run in ``gateway/store`` alone.

    ``gateway/embedded`` makes the bundled server's database, before there is one to migrate, and
    what ``gateway/valkey_client`` executes is no SQL.
    """
    allowed = ("embedded.postgres", "embedded.recover", "valkey_client")
    if module.inside("gateway.store", *(f"gateway.{name}" for name in allowed)):
        return
    for line, name in module.imports:
        if _within(name, "asyncpg") and not name.endswith("Error") and name != "asyncpg":
            yield f"{line}: {name} outside the store"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _SQL_CALLS:
                yield f"{node.lineno}: calls .{node.func.attr}() outside the store"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            looks_like_sql = _SQL_TEXT.match(node.value) and node not in module.documentation
            if looks_like_sql:
                yield f"{node.lineno}: SQL outside the store: {node.value.strip()[:40]!r}"


def http_has_its_places(module: Module) -> Iterator[str]:
    """The aiohttp client is in the transport, aiohttp.web in the listeners and the sandbox."""
    client = module.inside("providers.transport")
    server = module.inside("gateway.web", "gateway.app", "providers.sandbox")
    for line, name in module.imports:
        if not _within(name, "aiohttp") or client:
            continue
        if not server or name == "aiohttp" or _OF_THE_CLIENT.match(name):
            yield f"{line}: {name} has no place here"
    if not client:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute | ast.Name) and _name(node) == "ClientSession":
                yield f"{node.lineno}: an HTTP client outside providers/transport.py"


_OF_THE_CLIENT = re.compile(r"aiohttp\.([Cc]lient|connector|request\b|TCPConnector)")


def _name(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def money_has_no_floats(module: Module) -> Iterator[str]:
    """Where money is computed there are no floats and no true division."""
    if not module.inside("schemas.money", "gateway.money", "gateway.orders.drafting"):
        return
    decimal = module.inside("schemas.money")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{node.lineno}: the float {node.value}"
        elif isinstance(node, ast.Call) and _called(node) in ("float", "round"):
            yield f"{node.lineno}: {_called(node)}()"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not decimal:
            yield f"{node.lineno}: a division that gives a float"


def errors_are_named(module: Module) -> Iterator[str]:
    """No except clause catches everything without a word."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{node.lineno}: a bare except"


def store_functions_are_statements(module: Module) -> Iterator[str]:
    """A store function is named for its one statement and never opens a transaction."""
    exempt = ("gateway.store.connection", "gateway.store.migrate")
    if not module.inside("gateway.store") or module.inside(*exempt):
        return
    for function in module.tree.body:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _store_function(function)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _called(node) in ("transaction", "acquire"):
            yield f"{node.lineno}: opens a transaction or a connection"


def _store_function(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    if not _STORE_NAMES.fullmatch(function.name):
        yield f"{function.lineno}: {function.name} does not say what its statement does"
    arguments = [argument.arg for argument in function.args.args]
    if isinstance(function, ast.AsyncFunctionDef) and arguments[:1] != ["conn"]:
        yield f"{function.lineno}: {function.name} does not take conn first"


def sizes_stay_within_walls(module: Module) -> Iterator[str]:
    """Modules and functions that outgrow the walls are split by verb."""
    lines = module.text.count("\n")
    if lines > LONGEST_MODULE:
        yield f"1: the module has {lines} lines, the wall is {LONGEST_MODULE}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{node.lineno}: {node.name} has {length} lines, not {LONGEST_FUNCTION}"
    if re.search(r"(^|[._])(utils?|helpers?|managers?)($|[._])", module.name):
        yield f"1: the name {module.name} says nothing"


#: A kind of provider is named by its adapter, by the registry, where an operator chooses one
#: without naming it, and by the demo. In adjustments, "manual" is a way of paying.
_KINDS_MAY_BE_NAMED = (
    "providers.registry",
    "gateway.cli.providers",
    "gateway.cli.demo",
    "gateway.resellers.adjusting",
)


def kinds_of(modules: list[Module]) -> dict[str, str]:
    """The kinds of all adapters in these modules, with the module of each."""
    found: dict[str, str] = {}
    for module in modules:
        for node in ast.walk(module.tree):
            match node:
                case ast.AnnAssign(target=ast.Name(id="kind"), value=ast.Constant(value=str(kind))):
                    found[kind] = module.name
    return found


def names_no_kind(kinds: dict[str, str]) -> Rule:
    """A provider's kind appears in its own file, the registry, and where one is chosen."""

    def rule(module: Module) -> Iterator[str]:
        if module.inside(*_KINDS_MAY_BE_NAMED):
            return
        for node in ast.walk(module.tree):
            match node:
                case ast.Constant(value=str(text)) if node not in module.documentation:
                    for kind, home in kinds.items():
                        if text == kind and module.name != home:
                            yield f"{node.lineno}: the kind {kind!r} is named outside {home}"

    return rule


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        imports_point_down,
        schemas_are_pure,
        sql_stays_in_store,
        http_has_its_places,
        money_has_no_floats,
        errors_are_named,
        store_functions_are_statements,
        sizes_stay_within_walls,
    )
}
