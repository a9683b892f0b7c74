"""Makes docs/configuration.md from config.yaml and the settings model: ``make docs``.

What a setting means is said once, in the comments of config.yaml; its type, bounds and default are
the model's. A test compares the page with what this makes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.config import SettingsModel
from tests.architecture import ROOT

PAGE = ROOT / "docs/configuration.md"
_HEAD = """\
# Configuration

<!-- Made by `make docs` from config.yaml and schemas/config.py. -->

Settings come from a file (`--config FILE`, `SMM_CONFIG`, or `config.yaml` in the working
directory), then from the environment, then from flags; later ones win. An unknown name is an error,
and every mistake is one line that names the setting.

```mermaid
flowchart LR
    default["defaults"] --> file["config.yaml"] --> environment["SMM_HTTP__PORT=8811"]
    environment --> flag["--port 8811"]
    secret["SMM_DATABASE__URL_FILE=/run/secrets/url"] --> environment
```

In the environment, levels are parted by two underscores. Any variable may name a file instead, with
`_FILE` after it: that is how Docker, Kubernetes and systemd hand over secrets. Lists and tables are
JSON. Secrets (🔑) belong into such files, never into config.yaml.

Times in names end with their unit. Amounts and exchange rates are texts, because no float may come
near money.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A setting: its path, like ``http.port``, and what is said of it."""

    path: str
    field: FieldInfo
    meaning: str


def page() -> str:
    """The whole page."""
    about, meanings = _comments((ROOT / "config.yaml").read_text())
    parts = [_HEAD]
    alone = [line for line in _lines(SettingsModel, meanings) if "." not in line.path]
    parts.append("## At the top\n\n" + _table(alone, about))
    for name, field in SettingsModel.model_fields.items():
        if (model := _section(field)) is not None:
            lines = list(_lines(model, meanings, f"{name}."))
            parts.append(f"## `{name}`\n\n{about.get(name, '')}\n\n" + _table(lines, about))
    return "\n".join(parts)


def _lines(model: type[BaseModel], meanings: dict[str, str], prefix: str = "") -> Iterator[Line]:
    for name, field in model.model_fields.items():
        inner = _section(field)
        if inner is None:
            yield Line(prefix + name, field, meanings.get(prefix + name, ""))
        elif prefix:
            yield from _lines(inner, meanings, f"{prefix}{name}.")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a level of its own; None for a setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _table(lines: list[Line], about: dict[str, str]) -> str:
    rows = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for line in lines:
        meaning = (line.meaning or about.get(line.path, "")).replace("|", "\\|").rstrip(",;")
        secret = " 🔑" if SecretStr in _kinds(line.field.annotation) else ""
        rows.append(
            f"| `{line.path}`{secret} | `SMM_{line.path.upper().replace('.', '__')}` "
            f"| {_default(line.field)} | {f'{meaning} {_bounds(line.field)}'.strip()} |"
        )
    return "\n".join(rows) + "\n"


def _kinds(annotation: Any) -> set[Any]:
    return {annotation} | {kind for part in get_args(annotation) for kind in _kinds(part)}


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ([], {}):
        return "none"
    return f"`{getattr(value, 'value', value)}`".replace("True", "true").replace("False", "false")


def _bounds(field: FieldInfo) -> str:
    words = []
    for rule in field.metadata:
        match rule:
            case annotated_types.Ge(ge=least):
                words.append(f"at least {least}")
            case annotated_types.Le(le=most):
                words.append(f"at most {most}")
            case annotated_types.Gt(gt=least):
                words.append(f"above {least}")
            case annotated_types.MinLen(min_length=least):
                words.append(f"{least} characters or more")
            case _:
                pass
    return f"({', '.join(words)})" if words else ""


def _comments(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """What comments say: of sections and top settings (above them), and of settings (beside)."""
    about: dict[str, str] = {}
    meanings: dict[str, str] = {}
    section, inner, last = "", "", ""
    above: list[str] = []
    for line in text.splitlines():
        if not line.strip():
            above = []
        elif line.startswith("#"):
            above.append(line.removeprefix("#").strip())
        elif named := re.match(r"(\w+):", line):
            section = named[1]
            about[section] = " ".join(above)
            above = []
        elif named := re.match(r"  (\w+):\s*$", line):
            inner = named[1]
        elif named := re.match(r"(  |    )(\w+):\s*(?:[^#\s]|#\S)*[^#]*(?:#\s(.*))?$", line):
            inner = inner if len(named[1]) > 2 else ""
            last = ".".join(filter(None, (section, inner, named[2])))
            meanings[last] = named[3] or ""
        elif more := re.match(r"\s+#\s*(.*)", line):
            meanings[last] += " " + more[1]
    return about, meanings


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
