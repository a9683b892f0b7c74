"""The page of all settings is what the settings are."""

from schemas.config import SettingsModel
from tests.reference import PAGE, page


def test_the_page_of_settings_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_setting_is_on_the_page_with_its_variable() -> None:
    text = page()
    for name, field in SettingsModel.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {})
        for one in inner:
            assert f"| `{name}.{one}`" in text
            assert f"`SMM_{name.upper()}__{one.upper()}`" in text
