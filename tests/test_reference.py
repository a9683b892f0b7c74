"""The page of all settings is what the settings are."""

from collections.abc import Iterator

from pydantic import BaseModel

from schemas.config import SettingsModel
from tests.reference import PAGE, page


def test_the_page_of_settings_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_setting_is_on_the_page_with_its_variable() -> None:
    text = page()
    for path in _paths(SettingsModel):
        assert f"| `{'.'.join(path)}`" in text
        assert f"`SMM_{'__'.join(path).upper()}`" in text


def _paths(model: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _paths(inner, *above, name)
        else:
            yield (*above, name)
