"""Settings: the file, then the environment, then flags; every mistake is one clear line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

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
