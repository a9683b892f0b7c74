"""Settings: the file, then the environment, then flags; every mistake is one clear line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from gateway.config import load_settings
from gateway.errors import UserError
from schemas.config import SettingsModel
from tests.architecture import ROOT


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a file, so that only what a test gives counts."""
    monkeypatch.chdir(tmp_path)


def _file(folder: Path, text: str, name: str = "settings.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_without_any_source_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.http.port == 8800
    assert settings.currency == "USD"
    assert settings.security.pepper is None


def test_the_environment_wins_over_the_file_and_flags_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _file(tmp_path, "http: {host: 0.0.0.0, port: 1001}\nlog: {level: error}\n")
    assert load_settings(file).http.port == 1001
    monkeypatch.setenv("SMM_HTTP__PORT", "1002")
    assert load_settings(file).http.port == 1002
    flagged = load_settings(file, http={"port": 1003})
    assert flagged.http.port == 1003
    assert flagged.http.host == "0.0.0.0"
    assert flagged.log.level == "error"


def test_the_file_is_the_named_one_then_the_environment_s_then_the_working_directory_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file(tmp_path, "http: {port: 1}", "config.yaml")
    assert load_settings().http.port == 1
    monkeypatch.setenv("SMM_CONFIG", str(_file(tmp_path, "http: {port: 2}", "two.yaml")))
    assert load_settings().http.port == 2
    assert load_settings(_file(tmp_path, "http: {port: 3}", "three.yaml")).http.port == 3


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(_file(tmp_path, "# nothing\n")).http.port == 8800


def _refusal(*arguments: Any, **flags: Any) -> str:
    with pytest.raises(UserError) as refused:
        load_settings(*arguments, **flags)
    text = str(refused.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("htpp: {port: 1}", "htpp"),
        ("http: {prot: 1}", "http.prot"),
        ("http: {port: eleven}", "http.port"),
        ("http: {port: 70000}", "http.port"),
        ("http: {trusted_proxies: [10.0.0.1/8]}", "http.trusted_proxies.0"),
        ("limits: {burst: 0}", "limits.burst"),
        ("http: 7", "http"),
        ("currency: dollars", "currency"),
        ("security: {pepper: short}", "security.pepper"),
        ("log: {level: loud}", "log.level"),
        ("dispatch: {timeout_ms: 1000, connect_timeout_ms: 1000}", "dispatch"),
        ("intake: {group_size: 0}", "intake.group_size"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_it(
    tmp_path: Path, text: str, named: str
) -> None:
    assert f"setting {named}:" in _refusal(_file(tmp_path, text))


@pytest.mark.parametrize("text", ["http: [", "a: b: c", "\tx: 1", "- 1\n- 2", "just words"])
def test_a_file_that_is_no_table_of_settings_is_one_line_that_names_it(
    tmp_path: Path, text: str
) -> None:
    assert "settings.yaml" in _refusal(_file(tmp_path, text))


@pytest.mark.parametrize(
    "variable", ["SMM_HTPP__PORT", "SMM_HTTP__PROT", "SMM_HTTP_PORT", "SMM_HTTP__PORT__X", "SMM_"]
)
def test_an_environment_variable_that_names_nothing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    assert variable in _refusal()


def test_a_bad_value_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMM_HTTP__PORT", "many")
    assert "http.port" in _refusal()


def test_a_whole_section_in_the_environment_must_be_readable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMM_HTTP", '{"port": 5}')
    assert load_settings().http.port == 5
    monkeypatch.setenv("SMM_HTTP", "eleven")
    assert "http" in _refusal()


def test_a_refusal_does_not_repeat_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMM_SECURITY__PEPPER", "too-short-a-secret")
    assert "too-short-a-secret" not in _refusal()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("  pepper: '$", 4, "end of stream"),
        ("  pepper: a: $", 3, "mapping values"),
        ("  pepper: @$", 3, "'@'"),
        ("  pepper: *$", 3, "undefined alias"),
        ("  pepper: !$ a", 3, "tag"),
        ("  pepper: !$!a b", 3, "tag"),
        ('  pepper: "\\q$"', 3, "'q'"),
        ("  pepper: [$", 4, "',' or ']'"),
        ("  pepper: !!int $", None, "YAML"),
        ("  pepper: \x00$", None, "YAML"),
        ("  {pepper:$}", None, "security.pepper…"),
        ("  pepper:$", None, "security"),
    ],
)
def test_a_typing_error_in_the_file_does_not_repeat_a_secret(
    tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    secret = "hunter22" * 5
    refusal = _refusal(_file(tmp_path, f"# mine\nsecurity:\n{text.replace('$', secret)}\n"))
    assert "hunter22" not in refusal
    assert said in refusal
    assert line is None or f"in line {line}, column" in refusal


def test_secrets_are_not_shown_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "a-secret-of-at-least-thirty-two-characters"
    monkeypatch.setenv("SMM_SECURITY__PEPPER", secret)
    monkeypatch.setenv("SMM_DATABASE__URL", f"postgresql://u:{secret}@localhost/d")
    assert secret not in repr(load_settings())


def test_a_named_file_that_is_missing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "none.yaml"
    assert str(missing) in _refusal(missing)
    monkeypatch.setenv("SMM_CONFIG", str(missing))
    assert str(missing) in _refusal()


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: _defaults(type(field.default))
        if isinstance(field.default, BaseModel)
        else field.default
        for name, field in model.model_fields.items()
    }


def test_the_shipped_file_lists_every_setting_with_its_default() -> None:
    listed = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert listed == _defaults(SettingsModel)


def test_the_shipped_file_can_be_loaded() -> None:
    shipped = load_settings(ROOT / "config.yaml")
    assert shipped.model_dump() == load_settings().model_dump()


def _leaves(model: type[BaseModel], *path: str) -> Iterator[tuple[str, Any]]:
    """Every setting by the name of its variable, with its default."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, *path, name)
        else:
            yield "SMM_" + "__".join([*path, name]).upper(), field.default


#: A good value for settings whose default is none, or says nothing.
_SAMPLES = {
    "SMM_EXCHANGE_RATES": '{"EUR": "1.08"}',
    "SMM_HTTP__TRUSTED_PROXIES": '["10.0.0.0/8"]',
    "SMM_OPS__PORT": "8801",
    "SMM_OPS__URL": "https://ops.example.com",
    "SMM_OPS__TRUSTED_PROXIES": '["10.0.0.0/8"]',
    "SMM_ALERTS__EMAIL__URL": "smtps://user:password@mail.example.com",
    "SMM_ALERTS__EMAIL__SENDER": "gateway@example.com",
    "SMM_ALERTS__EMAIL__RECIPIENTS": '["ops@example.com"]',
    "SMM_ALERTS__WEBHOOK__URL": "https://example.com/hooks",
    "SMM_ALERTS__WEBHOOK__SECRET": f"whsec_{'A' * 44}",
    "SMM_OPERATORS__CONFIRM_ABOVE": "500",
}
_SAMPLE = "a text of more than thirty-two characters"


def test_every_setting_can_come_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}
    for variable, default in _leaves(SettingsModel):
        sample = _SAMPLE if default is None else str(default)
        given[variable] = _SAMPLES.get(variable, sample)
        file = tmp_path / variable
        file.write_text(given[variable] + "\n")
        monkeypatch.setenv(f"{variable}_FILE", str(file))
    read = load_settings()
    assert read.security.pepper == SecretStr(_SAMPLE)
    assert [str(network) for network in read.http.trusted_proxies] == ["10.0.0.0/8"]
    for variable in given:
        monkeypatch.delenv(f"{variable}_FILE")
    values: dict[str, Any] = {}
    for variable, text in given.items():
        place = values
        *sections, name = variable.removeprefix("SMM_").lower().split("__")
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = yaml.safe_load(text) if variable in _SAMPLES else text
    assert read.model_dump() == load_settings(**values).model_dump()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_line_break_at_the_end_of_a_secrets_file_is_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    file = tmp_path / "pepper"
    file.write_bytes(f" {_SAMPLE} {end}".encode())
    monkeypatch.setenv("SMM_SECURITY__PEPPER_FILE", str(file))
    assert load_settings().security.pepper == SecretStr(f" {_SAMPLE} ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"canary \xff", "is no text in UTF-8"),
        (b"canary" * 20_000, "is too large"),
    ],
)
def test_a_secrets_file_that_cannot_be_used_is_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, words: str
) -> None:
    file = tmp_path / "pepper"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SMM_SECURITY__PEPPER_FILE", str(file))
    refusal = _refusal()
    assert refusal == f"SMM_SECURITY__PEPPER_FILE: {file} {words}"
    assert "canary" not in refusal


def test_a_setting_that_is_given_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pepper"
    file.write_text(_SAMPLE)
    monkeypatch.setenv("SMM_SECURITY__PEPPER_FILE", str(file))
    monkeypatch.setenv("SMM_SECURITY__PEPPER", _SAMPLE)
    assert "SMM_SECURITY__PEPPER and SMM_SECURITY__PEPPER_FILE are both set" in _refusal()


@pytest.mark.parametrize("variable", ["SMM_SECURITY_FILE", "SMM_SECURITY__PEPER_FILE", "SMM__FILE"])
def test_a_file_for_no_setting_is_an_error(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "/dev/null")
    assert f"{variable} names no setting" in _refusal()


def test_a_console_needs_the_address_that_links_begin_with() -> None:
    with pytest.raises(UserError, match="needs its url"):
        load_settings(ops={"port": 8801})
    assert load_settings(ops={"port": 8801, "development": True}).ops.url is None
    assert load_settings(ops={"port": 8801, "url": "https://ops.example.com"}).ops.port == 8801
